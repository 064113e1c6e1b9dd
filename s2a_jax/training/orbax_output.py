"""What orbax and its threads print, beside what they raise."""

import functools
import logging
import sys
from collections.abc import Callable

from s2a_jax.files import is_full

# Orbax warns about a state that is saved without a score, which is normal here.
_IDLE = "Requested `tracked_metric`"
_CLOSED = "Event loop is closed"


def silence() -> None:
    """From now on, orbax prints nothing about a full disk, nor about what is normal here.

    Its threads print hundreds of lines about a full disk before they raise it. The arrays that they
    were writing then call back into an event loop that is closed, and Python prints a traceback of
    each such call.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_is_news)
    sys.unraisablehook = functools.partial(_report, sys.unraisablehook)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    is_known = error is not None and is_full(error)
    return not is_known and not str(record.msg).startswith(_IDLE)


def _report(
    otherwise: Callable[["sys.UnraisableHookArgs"], object], lost: "sys.UnraisableHookArgs"
) -> None:
    if not isinstance(lost.exc_value, RuntimeError) or str(lost.exc_value) != _CLOSED:
        otherwise(lost)
