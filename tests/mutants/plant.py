"""Plants one bug at a time in a copy of the repository and runs the tests that should notice it.

The tests run in forks of a process that has imported JAX and the other libraries, but nothing of
the package; what they compile is kept for the next mutant.
"""

import dataclasses
import importlib.util
import os
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from tests.forks import Forks
from tests.mutants.lists import Mutant

_COPIED = ("s2a_jax", "configs", "tests", "parity", "benchmarks", "docs", "notebooks", "launch",
           "data/README.md", "main.py", "pyproject.toml", "requirements.txt", "README.md",
           "LICENSE")  # fmt: skip
"""What tests need of the repository."""

_IMPORTED = ("numpy", "scipy.ndimage", "scipy.stats", "PIL.Image", "skimage.morphology", "tifffile",
             "jax", "jax.numpy", "optax", "flax.linen", "flax.struct", "orbax.checkpoint", "grain",
             "tensorstore", "ml_collections.config_flags", "safetensors.numpy", "matplotlib.figure",
             "rich.console", "pytest")  # fmt: skip
"""What the tests' process imports before it forks. None of these starts a device."""

_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.M)
SECONDS = 900
"""Time limit of the tests of one mutant; a bug that takes longer is noticed."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: the mutant.
        outcome: `noticed`, `survived` or `equivalent`.
        seconds: time that its tests took.
        noticed_by: the test that failed first, `time limit`, or "".
    """

    mutant: Mutant
    outcome: str
    seconds: float
    noticed_by: str


class TestsFail(Exception):
    """Tests fail without any bug, or cannot be found."""


class Copy:
    """A copy of the repository in which mutants are planted.

    Args:
        root: the repository.
        folder: an empty folder for the copy and all temporary files.
    """

    def __init__(self, root: Path, folder: Path):
        self.root, self._folder = folder / "copy", folder
        for name in _COPIED:
            source, target = root / name, self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.is_file():
                shutil.copy(source, target)
        environment = os.environ | {
            "PYTHONPATH": str(self.root),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # some import much, and no test needs them
            # As in tests/conftest.py, since JAX is imported before it.
            "JAX_PLATFORMS": "cpu",
            "JAX_NUMPY_RANK_PROMOTION": "raise",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        self._forks = Forks(environment, self.root, _IMPORTED)

    def run(self, tests: Iterable[str]) -> tuple[int, str]:
        """Runs tests until the first one fails -> pytest's exit code, and its output."""
        done = self._forks.run(
            "-m", "pytest", "-x", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "--tb=line",
            f"--basetemp={self._folder / 'pytest'}", *tests, seconds=SECONDS,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def check(self, tests: Iterable[str]) -> None:
        """Checks that `tests` pass without any bug.

        Raises:
            TestsFail: they do not.
        """
        for file in sorted({test.split("::")[0] for test in tests}):
            code, output = self.run(sorted({test for test in tests if test.split("::")[0] == file}))
            if code:
                raise TestsFail(f"The tests fail without any bug (exit code {code}):\n{output}")

    def plant(self, mutant: Mutant) -> Verdict:
        """Runs the tests of one mutant.

        Raises:
            DoesNotApply: the mutant cannot be planted.
            TestsFail: its tests cannot be found.
        """
        if mutant.equivalent:
            return Verdict(mutant, "equivalent", 0.0, "")
        path = self.root / mutant.file
        text = path.read_text(encoding="utf-8")
        start = time.monotonic()
        try:
            self._write(path, mutant.applied(text))
            code, output = self.run(mutant.tests)
        finally:
            self._write(path, text)
        if code in (4, 5):  # pytest's own: a wrong command line, no tests
            raise TestsFail(f"{mutant}: its tests cannot be run:\n{output}")
        failed = _FAILED.search(output)
        by = failed[1] if failed else "time limit" if code == -14 else f"exit code {code}"
        outcome = "noticed" if code else "survived"
        return Verdict(mutant, outcome, time.monotonic() - start, by if code else "")

    def close(self) -> None:
        """Ends the process that forks."""
        self._forks.close()

    @staticmethod
    def _write(path: Path, text: str) -> None:
        """Writes a file and drops its compiled form, whose time stamp has whole seconds."""
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".py":
            Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
