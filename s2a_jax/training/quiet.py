"""Reading with orbax so that a damaged checkpoint is one error and not a flood of them."""

import contextlib
import gc
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

_DRAIN = 0.3  # seconds in which reads that are under way find out that nobody waits for them


@contextlib.contextmanager
def one_error() -> Iterator[list[str]]:
    """Catches what is raised within; hides what orbax logs, and prints from threads after it.

    Orbax reads hundreds of arrays at once. When one fails, every other one prints a traceback of
    its own: that it was not awaited, that its loop is closed.

    Yields:
        A list that is empty, or has the first line of the error once the context has ended.
    """
    reasons: list[str] = []
    hooks = sys.excepthook, sys.unraisablehook
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    sys.excepthook = sys.unraisablehook = _ignore
    for logger in loggers:
        logger.addFilter(_nothing)
    try:
        try:
            yield reasons
        except Exception as error:  # damaged files make orbax raise almost anything
            lines = str(error).strip().splitlines() or [type(error).__name__]
            reasons.append(lines[0].partition(". See full")[0][:120])
        if reasons:  # the error is gone here, and with it the last references to what it left
            gc.collect()
            time.sleep(_DRAIN)
    finally:
        for logger in loggers:
            logger.removeFilter(_nothing)
        sys.excepthook, sys.unraisablehook = hooks


def _ignore(*_: Any) -> None:
    pass


def _nothing(_: logging.LogRecord) -> bool:
    return False
