"""The exceptions that the command-line faces expect: a user's mistake, and a user's stop."""


class UserError(Exception):
    """Bad input: a file, field or flag that cannot be used as it is.

    The message is one sentence or two that name the thing, what was expected and what to do.
    The command-line faces print it without a traceback and exit with code 2.
    """


class Stopped(KeyboardInterrupt):
    """A signal that ends the program, as a KeyboardInterrupt that knows which one.

    Attributes:
        code: 128 + the signal's number, as shells count: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


def exit_code(stop: KeyboardInterrupt) -> int:
    """What a program that was stopped exits with; Python's own KeyboardInterrupt is Ctrl-C."""
    return stop.code if isinstance(stop, Stopped) else 130
