"""How a program starts, stops and exits: Ctrl-C and SIGTERM, and exit codes."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, Self

from s2a_jax.errors import NonFiniteLossError, Stopped, UserError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_once() -> None:
    """From now on either signal ends the process with one sentence.

    For imports, when there is nothing to tidy up yet. An exception would not do: packages that are
    half imported catch it or turn it into errors of their own.
    """
    for number in _SIGNALS:
        signal.signal(number, _end)


def raise_stopped() -> None:
    """After `end_at_once`, from now on either signal raises `Stopped`: `finally` tidies up.

    Does nothing where the signals have other handlers, in a notebook for example.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is _end:
            signal.signal(number, _raise)
            sys.unraisablehook = _send_again


def run_program(
    work: Callable[[], int | None], stopped: Callable[[], str] = lambda: "Stopped."
) -> int:
    """Runs a program's work; prints one sentence for a mistake or a stop.

    Args:
        work: returns an exit code, or None for 0.
        stopped: the sentence to print after a signal.

    Returns:
        The exit code: that of `work`, 2 for a `UserError`, 1 for a `NonFiniteLossError`, 128 + the
        signal's number after a signal.
    """
    try:
        return work() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except NonFiniteLossError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(stopped(), file=sys.stderr)
        return stop.code if isinstance(stop, Stopped) else 128 + signal.SIGINT


def leave(code: int) -> NoReturn:
    """Ends the program with an exit code.

    A stopped program ends at once: threads of XLA may still compute, and crash while Python shuts
    down.
    """
    if code in {128 + number for number in _SIGNALS}:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


class Interrupt:
    """Within this context the first Ctrl-C or SIGTERM only sets `signal`; a second one raises.

    Attributes:
        signal: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._previous: dict = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise Stopped(number)
        self.signal = signal.Signals(number)


def _raise(number: int, _: FrameType | None) -> None:
    raise Stopped(number)


def _send_again(lost: "sys.UnraisableHookArgs") -> None:
    """Sends a signal again whose `Stopped` Python could not raise.

    JAX has a callback of the garbage collector; Python drops exceptions that are raised in one.
    """
    if not isinstance(lost.exc_value, Stopped):
        sys.__unraisablehook__(lost)
        return
    main = threading.main_thread().ident
    threading.Timer(0.01, signal.pthread_kill, (main, lost.exc_value.code - 128)).start()


def _end(number: int, _: FrameType | None) -> None:
    os.write(2, b"Stopped before anything began.\n")
    os._exit(128 + number)
