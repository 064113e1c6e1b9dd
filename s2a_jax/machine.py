"""The machine: cores that work may be spread over."""

import os


def cores() -> int:
    """Number of cores that this process may use, at least 1; containers often get only a few."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
