"""The example docs/own_encoder.py runs, and is as short as docs/parity.md says."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_own_encoder_trains(run_environment):
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
