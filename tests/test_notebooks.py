"""Both notebooks run from top to bottom, with the shortest trainings."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["quickstart", "colab_tpu_train"])
def test_notebook_runs(name, tmp_path, run_environment):
    environment = run_environment | {"S2A_SMOKE": "1", "S2A_RUNS": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=280", "-n0", "-p",
               "no:cacheprovider", f"notebooks/{name}.ipynb"]  # fmt: skip
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]
