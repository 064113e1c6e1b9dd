"""How many cores work may be spread over."""

import os


def cores() -> int:
    """Cores that this process may use, at least 1: containers are often given a few only."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
