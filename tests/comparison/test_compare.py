"""The shortest comparison: stopped, resumed, finished, evaluated again."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_stopped_comparison_resumes(run_environment, shared, tmp_path):
    folder, other = tmp_path / "compare", tmp_path / "other"
    other.mkdir()
    for split in ("val", "test"):
        rows = "".join(f"{split}000{i},0.5,0.4\n" for i in range(2))
        (other / f"{split}.csv").write_text("id,rv_dice,faz_dice\n" + rows)
    command = [sys.executable, "-m", "s2a_jax", "compare", "--config", "configs/synthetic.py:smoke",
               "--networks", "unet", "--add", f"other={other}",
               f"--config.data.synthetic.root={shared / 'eyes'}",
               "--config.log.every_steps=1", "--workdir", str(folder)]  # fmt: skip

    def start(*flags):
        return subprocess.Popen([*command, *flags], cwd=ROOT, env=run_environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip

    process = start()
    metrics = folder / "unet-seed0/metrics.jsonl"
    deadline = time.monotonic() + 200
    while not metrics.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "run the same command again to resume" in output

    process = start()
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    log = (folder / "logs/unet-seed0.log").read_text()
    assert "Stopped by SIGTERM" in log and "Resuming from step" in log
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["unet", "other"] * 4  # two splits, two tasks
    assert "reference" in output and "n < 6" in output
    assert (folder / "curves.png").is_file()

    numbers = metrics.read_bytes()
    process = start("--config.eval.protocol=otsu")
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    assert "unet-seed0: evaluating again" in output
    assert json.loads((folder / "unet-seed0/results/val.json").read_text())["protocol"] == "otsu"
    assert metrics.read_bytes() == numbers
