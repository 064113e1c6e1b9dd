"""Planted bugs as data: `ROOM.toml` beside this file holds those of one room of the package.

A table is named after the file that its mutants change:

    ["s2a_jax/objectives/dice.py"]
    tests = ["tests/objectives/test_joint.py"]    # files or ids that should notice them
    mutants = [
        ["1 - (2 * overlap", "1 - (overlap"],     # text that occurs once, text in its place
        ["one", "other", ["tests/x.py::test_y"]], # with tests of its own
    ]
    equivalent = [
        ["a + b", "b + a", "why no test can notice it"],
    ]
"""

import ast
import dataclasses
import re
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent
_TABLE = {"tests", "mutants", "equivalent"}


class DoesNotApply(Exception):
    """A list does not fit the code or the tests any more."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One planted bug.

    Attributes:
        room: stem of the list that holds it.
        file: path of the changed file below the root of the repository.
        old: text that occurs once in the file.
        new: text in its place.
        tests: ids or files of the tests that should notice it, below the root as well.
        equivalent: why no test can notice it; "" for all others.
    """

    room: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    def __str__(self) -> str:
        return f"{self.room}: {self.file}: {self.old!r} -> {self.new!r}"

    def applied(self, text: str) -> str:
        """The file's `text` with the bug.

        Raises:
            DoesNotApply: the old text does not occur exactly once, or the new file is no Python.
        """
        found = text.count(self.old)
        if found != 1 or self.old == self.new:
            raise DoesNotApply(f"{self}: the old text occurs {found} times, or does not change.")
        changed = text.replace(self.old, self.new)
        try:
            ast.parse(changed)
        except SyntaxError as error:
            raise DoesNotApply(f"{self}: the changed file is no Python ({error}).") from error
        return changed


def read_lists(folder: Path = FOLDER) -> list[Mutant]:
    """The mutants of all lists, in the order of rooms and lines.

    Raises:
        DoesNotApply: a list is written in another way than this module says.
    """
    mutants = []
    for path in sorted(folder.glob("*.toml")):
        for file, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if extra := table.keys() - _TABLE:
                raise DoesNotApply(f"{path}: {file}: unknown {', '.join(sorted(extra))}.")
            default = table.get("tests", [])
            for entry in table.get("mutants", []):
                old, new, tests = entry if len(entry) == 3 else (*entry, default)
                if not tests:
                    raise DoesNotApply(f"{path}: {file}: {old!r} names no tests.")
                mutants.append(Mutant(path.stem, file, old, new, tuple(tests)))
            for old, new, reason in table.get("equivalent", []):
                mutants.append(Mutant(path.stem, file, old, new, (), reason))
    if len(set(mutants)) != len(mutants):
        raise DoesNotApply(f"{folder}: a mutant is listed twice.")
    return mutants


def check_mutants(mutants: list[Mutant], root: Path) -> None:
    """Checks that every mutant can be planted below `root`, and that its tests exist.

    Raises:
        DoesNotApply: names all that cannot, one a line.
    """
    faults = []
    for mutant in mutants:
        try:
            path = root / mutant.file
            if not path.is_file():
                raise DoesNotApply(f"{mutant}: there is no such file.")
            mutant.applied(path.read_text(encoding="utf-8"))
            for test in mutant.tests:
                _check_test(mutant, test, root)
        except DoesNotApply as error:
            faults.append(str(error))
    if faults:
        raise DoesNotApply("\n".join(faults))


def _check_test(mutant: Mutant, test: str, root: Path) -> None:
    file, *names = re.sub(r"\[.*\]$", "", test).split("::")
    path = root / file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not text or not all(re.search(rf"^(def|class) {name}\b", text, re.M) for name in names):
        raise DoesNotApply(f"{mutant}: there is no test {test}.")
