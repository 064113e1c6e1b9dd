"""The example of docs/ runs, and is as short as it claims to be."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_an_encoder_of_ones_own(run_environment):
    assert len((ROOT / "docs/own_encoder.py").read_text().splitlines()) < 40
    done = subprocess.run(
        [sys.executable, "-m", "docs.own_encoder"],
        cwd=ROOT,
        env=run_environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    losses = [float(text) for text in re.findall(r"loss ([\d.]+)", done.stdout)]
    assert len(losses) == 30
    assert losses[-1] < losses[0]
