"""Eight simulated devices, strict broadcasting, fast compilation and cheap processes."""

import atexit
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

COMPILATION = "--xla_backend_optimization_level=0"
if version("jaxlib").startswith("0.10."):  # XLA ends the process at an unknown flag
    # These two save a third of the time: one LLVM module per program, no MLIR passes.
    COMPILATION += " --xla_cpu_parallel_codegen_split_count=1 --xla_cpu_use_fusion_emitters=false"

# Before any test imports JAX.
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count=8 {COMPILATION}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"  # arrays of other ranks broadcast explicitly
# Workers, and all processes that tests start, find what any of them has compiled.
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.05"
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # workers have it of the first process
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="s2a-jax-programs-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "parity"))

from forks import Forks, collect_seldom  # noqa: E402

collect_seldom()

LONGEST = (
    "test_end_to_end.py",
    "training/test_processes.py",
    "training/test_forward.py",
    "test_notebooks.py",
    "comparison/test_compare.py",
    "export/test_export.py",
    "test_wheel.py",
)
"""Files that take more than half a minute."""


def pytest_collection_modifyitems(items):
    """The longest files first, so that no worker is left with one at the end."""
    folder = Path(__file__).parent
    place = {folder / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that all workers share, for synthetic eyes and a trained network."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    (folder / "shared").mkdir(exist_ok=True)
    return folder / "shared"


@pytest.fixture(scope="session")
def run_environment():
    """Environment of processes that tests start: one device."""
    return os.environ | {"XLA_FLAGS": COMPILATION}


@pytest.fixture(scope="session")
def forks(run_environment):
    """Runs command lines in forks of one process."""
    forks = Forks(run_environment)
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def forked(forks):
    """A function that runs `python ARGUMENTS` in a fork -> `subprocess.CompletedProcess`."""
    return forks.run
