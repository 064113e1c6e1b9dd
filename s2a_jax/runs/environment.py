"""Where and when a run was computed: versions, devices, hardware, commit, times.

`environment.json` of a workdir holds what `describe_environment` returned when the run began, with
`ended` and `failed` filled in later. Each time the run resumes, a description of the same kind is
appended to its list `resumed`.
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
from s2a_jax.files import written_whole
from s2a_jax.machine import cores
from s2a_jax.runs.files import read_object

_PACKAGES = ("s2a-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
_ROOT = Path(__file__).parents[2]  # the checkout; site-packages where the package is installed


def describe_environment() -> dict[str, Any]:
    """Describes the machine, the software and the command of this process, as JSON values.

    The names of host and user are left out, since reports are passed on.

    Returns:
        `started` (ISO 8601 with the offset from UTC), `ended` and `failed` (None), `command` (list
        of words), `commit` (git hash, or None outside a checkout), `uncommitted_changes` (bool, or
        None without a commit), `versions` (installed package -> version), `devices` (list of
        `kind`, `platform`, `count` over all processes), `processes`, `hardware` (`processor`,
        `cores` that this process may use, `memory_gib` or None, `system`).
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
    """Notes in `path` (environment.json) that a run begins or resumes, here and now.

    Raises:
        UserError: the file is damaged or cannot be written.
    """
    now = describe_environment()
    if path.is_file():
        first = _read(path)
        now = first | {"resumed": [*first.get("resumed", []), now]}
    _write(path, now)


def record_end(
    path: Path, warn: Callable[[str], object], error: BaseException | None = None
) -> None:
    """Fills in when the newest entry of `path` ended and, if it failed, why, in one line.

    Args:
        path: environment.json, as `record_start` wrote it.
        warn: called with a sentence if the end cannot be noted.
        error: the exception that ended the run, if any; Ctrl-C is no failure.
    """
    failed = None
    if isinstance(error, Exception):
        lines = str(error).strip().splitlines() or ["no message"]
        failed = f"{type(error).__name__}: {lines[0]}"
    try:
        first = _read(path)
        [first, *first.get("resumed", [])][-1].update({"ended": _now(), "failed": failed})
        _write(path, first)
    except UserError as mistake:
        warn(f"The end of the run could not be noted in {path}: {mistake}")


@contextlib.contextmanager
def recorded(path: Path, warn: Callable[[str], object]) -> Iterator[None]:
    """Notes in `path` when the block within begins and ends, and whether it fails.

    Args:
        path: environment.json.
        warn: called with a sentence if the end cannot be noted; no run should fail for that.

    Raises:
        UserError: the file is damaged or cannot be written when the block begins.
    """
    record_start(path)
    try:
        yield
    except BaseException as error:
        record_end(path, warn, error)
        raise
    record_end(path, warn)


def _read(path: Path) -> dict[str, Any]:
    try:
        first = read_object(path)
        resumed = first.get("resumed", [])
        if not isinstance(resumed, list) or not all(isinstance(one, dict) for one in resumed):
            raise ValueError("has a field `resumed` that is no list of objects")
    except ValueError as error:
        raise UserError(f"{path} {error}; delete it, the run does without.") from error
    return first


def _write(path: Path, content: dict[str, Any]) -> None:
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _git(*arguments: str) -> str | None:
    """Output of a git command about the checkout; None without git or without a checkout."""
    if not (_ROOT / ".git").exists():  # git would answer for a repository further up
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
            continue  # a checkout need not be installed
    return versions


def _processor() -> str:
    """Name of the processor; on Linux `platform` does not know it, /proc/cpuinfo does."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None
    return round(pages * size / 2**30, 1)
