"""Reading with orbax so that a damaged checkpoint is one error and not a flood of them."""

import contextlib
import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from s2a_jax.errors import UserError

_Content = TypeVar("_Content")
_DRAIN = 0.3  # seconds in which reads that are under way find out that nobody waits for them


class DamageError(Exception):
    """Files that cannot be read; the message is the first line of what orbax said."""


def read_quietly(read: Callable[[], _Content]) -> _Content:
    """What `read` returns; hides what orbax logs, and prints from threads after it has failed.

    Orbax reads hundreds of arrays at once. When one fails, every other one prints a traceback of
    its own: that it was not awaited, that its loop is closed.

    Raises:
        DamageError: in place of whatever `read` raises, since damaged files make orbax raise almost
            anything; but a lack of memory is raised as it is.
        UserError: a file may not be read.
    """
    with _silence():
        try:
            return read()
        except Exception as error:
            if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
                raise
            lines = str(error).strip().splitlines() or [type(error).__name__]
            if isinstance(error, PermissionError) or "PERMISSION_DENIED" in str(error):
                raise UserError(f"A checkpoint may not be read: {lines[0]}.") from None
            reason = lines[0].partition(". See full")[0]
        gc.collect()  # the error is gone here, and with it the last references to what it left
        time.sleep(_DRAIN)
    raise DamageError(reason[:200])


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    hooks = sys.excepthook, sys.unraisablehook
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    sys.excepthook = sys.unraisablehook = _ignore
    for logger in loggers:
        logger.addFilter(_nothing)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_nothing)
        sys.excepthook, sys.unraisablehook = hooks


def _ignore(*_: Any) -> None:
    pass


def _nothing(_: logging.LogRecord) -> bool:
    return False
