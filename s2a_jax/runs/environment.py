"""Where and when a run was computed: versions, devices, hardware, commit, times.

`environment.json` of a workdir is what `describe_environment` returned when the run began, with
`ended` and `failed` filled in later, and under `resumed` one such description for each time it went
on.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from s2a_jax.errors import UserError
from s2a_jax.machine import cores

_PACKAGES = ("s2a-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
_ROOT = Path(__file__).parents[2]  # of the checkout, if the package is run from one


def describe_environment() -> dict[str, Any]:
    """What computes now, as JSON values.

    The host's and the user's names are left out, since reports are passed on.

    Returns:
        `started` (ISO 8601 with the offset from UTC), `ended` and `failed` (None), `command` (list
        of words), `commit` (hash of git, or None where the package is no checkout),
        `uncommitted_changes` (bool, None without a commit), `versions` (name -> version, packages
        that are installed), `devices` (list of `kind`, `platform`, `count` over all processes),
        `processes`, `hardware` (`processor`, `cores` that this process may use, `memory_gib` or
        None, `system`).
    """
    import jax

    kinds = Counter((device.device_kind, device.platform) for device in jax.devices())
    commit = _git("rev-parse", "HEAD")
    changes = None if commit is None else _git("status", "--porcelain", "--untracked-files=no")
    return {
        "started": _now(),
        "ended": None,
        "failed": None,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": commit,
        "uncommitted_changes": None if changes is None else bool(changes),
        "versions": {"python": platform.python_version()} | _versions(),
        "devices": [
            {"kind": kind, "platform": name, "count": count}
            for (kind, name), count in kinds.items()
        ],
        "processes": jax.process_count(),
        "hardware": {
            "processor": _processor(),
            "cores": cores(),
            "memory_gib": _memory_gib(),
            "system": platform.platform(),
        },
    }


def record_start(path: Path) -> None:
    """Notes in `path` (environment.json) that a run begins, or goes on, here and now.

    Raises:
        UserError: the file that is there already is not one of ours.
    """
    now = describe_environment()
    if path.is_file():
        try:
            first = json.loads(path.read_text())
            now = first | {"resumed": [*first.get("resumed", []), now]}
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} is not as a run writes it ({error}); delete it, the run does without."
            ) from error
    _write(path, now)


def record_end(
    path: Path, warn: Callable[[str], object], error: BaseException | None = None
) -> None:
    """Fills in when the newest entry of `path` ended and, if it has failed, why: one line.

    Args:
        path: environment.json, as `record_start` wrote it.
        warn: is told if that cannot be noted.
        error: what ended it, if it did not finish; Ctrl-C is no failure.
    """
    failed = None
    if isinstance(error, Exception):
        lines = str(error).strip().splitlines() or ["no message"]
        failed = f"{type(error).__name__}: {lines[0]}"
    try:
        first = json.loads(path.read_text())
        [first, *first.get("resumed", [])][-1].update({"ended": _now(), "failed": failed})
        _write(path, first)
    except (OSError, ValueError, TypeError, AttributeError) as mistake:
        warn(f"The end of the run could not be noted in {path}: {mistake}.")


@contextlib.contextmanager
def recorded(path: Path, warn: Callable[[str], object]) -> Iterator[None]:
    """Notes in `path` when what runs within this context begins and ends, and whether it fails.

    Args:
        path: environment.json.
        warn: is told if the end cannot be noted, for which no run should fail.

    Raises:
        UserError: as `record_start`.
    """
    record_start(path)
    try:
        yield
    except BaseException as error:
        record_end(path, warn, error)
        raise
    record_end(path, warn)


def _write(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _git(*arguments: str) -> str | None:
    """What git prints about the checkout; None without git, or if the package is in no checkout."""
    if not (_ROOT / ".git").exists():  # else git would tell of a repository further up
        return None
    command = ["git", "-C", str(_ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # s2a-jax itself is not installed where it is run from a checkout
    return versions


def _processor() -> str:
    """The processor's name; Linux keeps it where `platform` does not look."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None
    return round(pages * size / 2**30, 1)
