"""Ctrl-C and SIGTERM from the start of a program on; the training loop has its own way."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from s2a_jax.errors import Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def interrupts() -> None:
    """Makes a `Stopped` of both signals, and one that is not lost."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Within this context either signal ends the process: one sentence, exit code 128 + its
    number.

    For imports alone, when there is nothing to tidy up yet. A KeyboardInterrupt would not do:
    packages that are half imported catch it, or turn it into errors of their own. Nothing is
    changed where signals are another's, in a notebook say: unless `interrupts` was called.
    """
    is_main = threading.current_thread() is threading.main_thread()  # it alone handles signals
    if not is_main or any(signal.getsignal(number) is not _interrupt for number in _SIGNALS):
        yield
        return
    previous = {number: signal.signal(number, _end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def leave(code: int) -> NoReturn:
    """Ends the program with an exit code.

    One that was stopped ends at once: threads of XLA may still compute, and crash under a Python
    that is tidied up.
    """
    if code in {128 + number for number in _SIGNALS}:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if frame is not None and frame.f_code.co_name == "_xla_gc_callback":
        # What JAX has the garbage collector call: exceptions are printed and forgotten there.
        thread = threading.get_ident()  # the main one: it alone handles signals
        threading.Timer(0.01, signal.pthread_kill, (thread, number)).start()
        return
    raise Stopped(number)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"Stopped before anything began.\n")
    os._exit(128 + number)
