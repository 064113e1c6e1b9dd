"""The exceptions that end a program with one sentence: a user's mistake, and a user's stop."""


class UserError(Exception):
    """Bad input: a file, field or flag that cannot be used as it is.

    The message is one sentence or two that name the thing, what was expected and what to do.
    Programs print it without a traceback and exit with code 2.
    """

    exit_code = 2


class FullDiskError(UserError):
    """There is no room on a disk, or no quota left.

    The message names the file or folder. What was complete before stays so, and the same command
    resumes once there is room. Programs exit with code 1: no flag is wrong.
    """

    exit_code = 1


class NonFiniteLossError(Exception):
    """The loss or its gradient is not a number; the message says where, and what to do.

    Programs print it without a traceback and exit with code 1.
    """


class Stopped(KeyboardInterrupt):
    """A signal that ends the program: a KeyboardInterrupt that knows which signal it was.

    Attributes:
        code: exit code, 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number
