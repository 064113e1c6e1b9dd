"""How a program starts, stops and exits: Ctrl-C and SIGTERM, and exit codes.

Python runs the handler of a signal in the main thread, and only between two of its own
instructions: while XLA compiles, for a minute later. So a thread watches as well. It answers at
once, and ends the process after a second signal if the main thread still does not react.
"""

import contextlib
import functools
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn, Self

from s2a_jax.errors import NonFiniteLossError, Stopped, UserError
from s2a_jax.files import full_disk, is_full

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 0.5  # s; a main thread that has not reacted by then is busy outside of Python
_POLL = 0.05  # s
_BUSY = "Stopping as soon as the computation under way ends; Ctrl-C again stops at once."


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
    ours = [number for number in _SIGNALS if signal.getsignal(number) is _end]
    for number in ours:
        signal.signal(number, _raise)
    if ours:
        _watch.start()
        sys.unraisablehook = functools.partial(_send_again, sys.unraisablehook)


def run_program(
    work: Callable[[], int | None], stopped: Callable[[], str] = lambda: "Stopped."
) -> int:
    """Runs a program's work; prints one sentence for a mistake or a stop.

    Args:
        work: returns an exit code, or None for 0.
        stopped: the sentence to print after a signal.

    Returns:
        The exit code: that of `work`, 2 for a `UserError`, 1 for a full disk or a
        `NonFiniteLossError`, 128 + the signal's number after a signal.
    """
    try:
        return work() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if not is_full(error):
            raise
        print(f"error: {full_disk(error.filename or 'a file')}", file=sys.stderr)
        return 1
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

    Args:
        promise: what happens after the first one, printed at once; "": nothing is printed.

    Attributes:
        signal: the signal that came, or None.
    """

    def __init__(self, promise: str = "") -> None:
        self.signal: signal.Signals | None = None
        self._promise, self._ends = promise, contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._ends.enter_context(_watch.promising(self._promise))
        for number in _SIGNALS:
            self._ends.callback(signal.signal, number, signal.signal(number, self._handle))
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _handle(self, number: int, _: FrameType | None) -> None:
        _watch.handled = time.monotonic()
        if self.signal is not None:
            raise Stopped(number)
        self.signal = signal.Signals(number)


class _Watch:
    """The thread that sees signals at once, through Python's wakeup descriptor.

    Attributes:
        handled: when a handler last ran in the main thread, by `time.monotonic`.
    """

    def __init__(self) -> None:
        self.handled = -math.inf
        self._promise: str | None = None  # of an `Interrupt`; None: the first signal raises
        self._is_again = False  # a signal came before
        self._sockets: tuple[socket.socket, socket.socket] | None = None

    def start(self) -> None:
        """Starts the thread, once a process; only the main thread may call this."""
        if self._sockets is None:
            self._sockets = socket.socketpair()
            self._sockets[1].setblocking(False)
            signal.set_wakeup_fd(self._sockets[1].fileno(), warn_on_full_buffer=False)
            threading.Thread(target=self._run, name="signals", daemon=True).start()

    @contextlib.contextmanager
    def promising(self, promise: str) -> Iterator[None]:
        """Answers the first signal within the block with `promise`."""
        self.start()
        self._promise, self._is_again = promise, False
        try:
            yield
        finally:
            self._promise, self._is_again = None, False

    def _run(self) -> None:
        while True:
            for number in self._sockets[0].recv(64):
                if number in _SIGNALS:
                    self._answer(number)

    def _answer(self, number: int) -> None:
        is_again, self._is_again = self._is_again, True
        if self._promise is not None and not is_again:
            _print(self._promise)
        elif not self._is_handled():
            if is_again:
                _print("Stopped at once; what was complete before stays.")
                os._exit(128 + number)
            _print(_BUSY)

    def _is_handled(self) -> bool:
        """Whether the main thread has reacted to the newest signal, or does so in a moment."""
        came = time.monotonic() - _POLL  # the handler may have been faster than this thread
        while self.handled < came and time.monotonic() < came + _PATIENCE:
            time.sleep(_POLL)
        return self.handled >= came


_watch = _Watch()


def _print(sentence: str) -> None:
    """Prints a line, whatever the main thread is printing."""
    if sentence:
        os.write(2, f"{sentence}\n".encode())


def _raise(number: int, _: FrameType | None) -> None:
    _watch.handled = time.monotonic()
    raise Stopped(number)


def _send_again(
    otherwise: Callable[["sys.UnraisableHookArgs"], object], lost: "sys.UnraisableHookArgs"
) -> None:
    """Sends a signal again whose `Stopped` Python could not raise.

    JAX has a callback of the garbage collector; Python drops exceptions that are raised in one.
    """
    if not isinstance(lost.exc_value, Stopped):
        otherwise(lost)
        return
    main = threading.main_thread().ident
    threading.Timer(0.01, signal.pthread_kill, (main, lost.exc_value.code - 128)).start()


def _end(number: int, _: FrameType | None) -> None:
    os.write(2, b"Stopped before anything began.\n")
    os._exit(128 + number)
