"""Ctrl-C and SIGTERM as a wish that the loop looks at between two steps."""

import signal
from types import FrameType
from typing import Self

from s2a_jax.errors import Stopped


class Interrupt:
    """Within this context the first Ctrl-C or SIGTERM only sets `signal`; the second one stops.

    Attributes:
        signal: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._previous: dict = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise Stopped(number)
        self.signal = signal.Signals(number)
