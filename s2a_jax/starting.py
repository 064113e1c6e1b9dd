"""Ctrl-C and SIGTERM in the first seconds of a program, while it imports."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Within this context either signal ends the process: one sentence, exit code 130.

    For imports alone, when there is nothing to tidy up yet. A KeyboardInterrupt would not do:
    packages that are half imported catch it, or turn it into errors of their own.
    """
    previous = {number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Stopped before anything began.\n")
    os._exit(130)
