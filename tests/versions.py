"""Runs the suite on the lowest and the newest versions that the package allows.

    pip install uv
    python -m tests.versions --out runs/versions

Makes an environment for every row of `ENVIRONMENTS` in a folder of its own below OUT, installs the
package there with the extra dev, editable, and runs the suite, one environment after the other.
`lowest` takes the lower bounds of requirements.txt and pyproject.toml, `newest` the newest releases
within the ranges. OUT gets versions.csv and versions.md, and each environment's folder the printed
output. An environment whose suite ended is not run again unless pytest gets other arguments, which
stand after `--`; delete its folder for that. The exit code is 1 if a test failed in one of them.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
SHOWN = ("jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "scipy", "torch")
"""Packages whose versions are columns of the table."""


class Environment(NamedTuple):
    """A Python and how the versions of packages are chosen.

    Attributes:
        python: the interpreter, as "3.11".
        resolution: uv's name of the choice.
        pytest: arguments of the suite.
    """

    python: str
    resolution: str
    pytest: tuple[str, ...] = ()


ENVIRONMENTS = {
    # The oldest packages call functions that newer dependencies deprecate.
    "lowest": Environment("3.11", "lowest-direct", ("-W", "ignore::DeprecationWarning")),
    "newest": Environment("3.11", "highest"),
    "newest-3.13": Environment("3.13", "highest"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing and writes the table.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.versions", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of environments and table")
    parser.add_argument("--only", choices=ENVIRONMENTS, action="append", help="these alone")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, after --")
    options = parser.parse_args(arguments)
    if shutil.which("uv") is None:
        parser.error("uv makes the environments; install it: pip install uv")
    rows = []
    for name in options.only or ENVIRONMENTS:
        folder = options.out.resolve() / name
        finished = folder / "row.json"
        known = json.loads(finished.read_text()) if finished.is_file() else {}
        given = [*ENVIRONMENTS[name].pytest, *options.pytest]
        if known.get("arguments") != given:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            print(f"{name}: installing ...", flush=True)
            install(folder, ENVIRONMENTS[name])
            print(f"{name}: running; {folder / 'suite.log'}", flush=True)
            row = {"environment": name} | run_suite(folder, given)
            known = {"arguments": given, "row": row}
            finished.write_text(json.dumps(known))
        rows.append(known["row"])
        print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    write_table(options.out, rows)
    return int(any(row["failed"] or not row["passed"] for row in rows))


def install(folder: Path, environment: Environment) -> None:
    """Makes the environment `folder`/venv; ends the program if the packages cannot be had."""
    venv = folder / "venv"
    python = str(venv / "bin/python")
    lines = (
        # With pip (--seed), which tests/test_wheel.py runs.
        ["uv", "venv", "--quiet", "--seed", "--python", environment.python, str(venv)],
        # Compiled here, since warnings of old packages' syntax would be errors in the suite.
        ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python,
         "--resolution", environment.resolution, "--editable", f"{ROOT}[dev]"],
    )  # fmt: skip
    for line in lines:
        if subprocess.run(line, cwd=folder).returncode:
            sys.exit(f"{' '.join(line)} failed.")


def run_suite(folder: Path, arguments: Sequence[str]) -> dict[str, str | int | float]:
    """Runs the suite in an environment and counts its tests; ends the program if there are none."""
    python, counts = folder / "venv/bin/python", folder / "suite.xml"
    line = [str(python), "-m", "pytest", f"--junitxml={counts}", *arguments]
    paths = os.pathsep.join((str(python.parent), os.environ.get("PATH", "")))
    begin = time.monotonic()
    with (folder / "suite.log").open("w", encoding="utf-8") as log:
        code = subprocess.run(
            line, cwd=ROOT, env=os.environ | {"PATH": paths}, stdout=log, stderr=log
        ).returncode
    minutes = (time.monotonic() - begin) / 60
    if code not in (0, 1) or not counts.is_file():
        sys.exit(f"The suite did not end; see {folder / 'suite.log'}.")
    return versions(python) | read_counts(counts) | {"minutes": round(minutes, 1)}


def read_counts(path: Path) -> dict[str, int]:
    """How many tests of a JUnit file passed, failed (errors too) and were skipped."""
    suites = ElementTree.parse(path).getroot().iter("testsuite")
    total = {key: 0 for key in ("tests", "failures", "errors", "skipped")}
    for suite in suites:
        for key in total:
            total[key] += int(suite.get(key, 0))
    failed = total["failures"] + total["errors"]
    passed = total["tests"] - failed - total["skipped"]
    return {"passed": passed, "failed": failed, "skipped": total["skipped"]}


def versions(python: Path) -> dict[str, str]:
    """The versions of Python and of the packages in `SHOWN`."""
    program = (
        "import json, platform; from importlib.metadata import version; "
        f"names = {SHOWN!r}; "
        "print(json.dumps({'python': platform.python_version()} | {n: version(n) for n in names}))"
    )
    printed = subprocess.run(
        [str(python), "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(printed.stdout)


def write_table(folder: Path, rows: Sequence[dict[str, str | int | float]]) -> None:
    """Writes versions.csv and versions.md."""
    with (folder / "versions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(map(str, row.values())) + " |" for row in rows]
    (folder / "versions.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
