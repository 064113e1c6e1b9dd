"""The machine: cores that work may be spread over, and programs compiled for it."""

import os
from pathlib import Path


def cores() -> int:
    """Number of cores that this process may use, at least 1; containers often get only a few."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_compiled_programs() -> None:
    """Lets this process find the programs that others compiled, unless the user chose a folder.

    JAX reads the variable when it is imported.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        try:
            cache = Path.home() / ".cache" / "s2a_jax" / "xla"
            cache.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # a home that cannot be written to, or none at all
            return
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
