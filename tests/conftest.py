"""Eight simulated devices for every test, and compilation that spends no time on speed."""

import os
import sys
from pathlib import Path

import pytest

# Before JAX is imported by any test.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "parity"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder for the synthetic eyes and the compiled programs of all runs."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def run_environment(shared):
    """Environment variables of processes that tests start: one device, compiled programs shared."""
    return os.environ | {
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(shared / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
    }
