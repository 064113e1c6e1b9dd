"""Consoles and progress bars that print text as it is."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import Progress

_EVERY = 10.0  # s between lines of progress in a file


def make_console(**options: Any) -> Console:
    """A console that prints text as it is, since text may hold names of a user's files.

    Rich would take `[small]` in a name as markup, `:eye:` as an emoji, and `[/bold]` as an error.

    Args:
        options: further arguments of `rich.console.Console`, such as `stderr` or `width`.
    """
    return Console(markup=False, emoji=False, highlight=False, **options)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows progress and time left on standard error: a bar, or a line every 10 s in a file.

    Args:
        what: the work, such as "Segmenting".
        total: number of its parts.

    Yields:
        A function that takes the number of parts that have been done since its last call.
    """
    console = make_console(stderr=True, soft_wrap=True)
    if console.is_terminal:
        with Progress(console=console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.advance(task, count)
        return
    start = shown = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now - shown >= _EVERY and done:
            shown, rate = now, done / (now - start)
            left = _duration((total - done) / rate)
            console.print(f"{what}: {done} of {total}, {rate:.3g} a second, {left} left.")

    yield advance


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
