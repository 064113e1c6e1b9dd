"""Consoles and progress bars that print text as it is."""

from typing import Any

from rich.console import Console


def make_console(**options: Any) -> Console:
    """A console that prints text as it is, since text may hold names of a user's files.

    Rich would take `[small]` in a name as markup, `:eye:` as an emoji, and `[/bold]` as an error.

    Args:
        options: further arguments of `rich.console.Console`, such as `stderr` or `width`.
    """
    return Console(markup=False, emoji=False, highlight=False, **options)
