"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """Bad input: a file, field or flag that cannot be used as it is.

    The message is one sentence or two that name the thing, what was expected and what to do.
    The command-line faces print it without a traceback and exit with code 2.
    """
