"""Names of files are printed as they are: not as markup, emoji codes or numbers in colour."""

import io
import re
from pathlib import Path

import pytest
from rich.table import Table

from s2a_jax import console
from s2a_jax.console import make_console

ROOT = Path(__file__).parent.parent
NAME = "runs/[small]/x[/bold]/:eye:/[link=y]12"


@pytest.mark.parametrize("is_terminal", [False, True])
def test_text_is_printed_as_it_is(is_terminal):
    console = make_console(file=io.StringIO(), width=200, force_terminal=is_terminal)
    console.print(f"Weights: {NAME}")
    assert console.file.getvalue() == f"Weights: {NAME}\n"
    table = Table(NAME, title=NAME, caption=NAME)
    table.add_row(NAME)
    console.print(table)
    assert console.file.getvalue().count(NAME) == 5


@pytest.mark.parametrize("folder", ["s2a_jax", "parity", "benchmarks"])
def test_all_consoles_are_made_so(folder):
    makes_its_own = re.compile(r"\bConsole\(|\brich\.(print|get_console)|from rich import")
    for path in (ROOT / folder).rglob("*.py"):
        assert path == ROOT / "s2a_jax/console.py" or not makes_its_own.search(path.read_text()), (
            path
        )


def test_progress_in_a_file_is_a_line_every_ten_seconds(monkeypatch, capsys):
    now = iter([0.0, 4.0, 10.0, 12.0, 30.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with console.progress("Segmenting [small]", 1000) as advance:
        for count in (20, 30, 5, 20):
            advance(count)
    assert capsys.readouterr().err.splitlines() == [
        "Segmenting [small]: 50 of 1000, 5 a second, 0:03:10 left.",
        "Segmenting [small]: 75 of 1000, 2.5 a second, 0:06:10 left.",
    ]
