"""The shortest comparison: stopped, resumed, finished, evaluated again."""

import csv
import json
import signal
import time


def test_a_stopped_comparison_resumes(forks, shared, tmp_path):
    folder, other = tmp_path / "compare", tmp_path / "other"
    other.mkdir()
    for split in ("val", "test"):
        rows = "".join(f"{split}000{i},0.5,0.4\n" for i in range(2))
        (other / f"{split}.csv").write_text("id,rv_dice,faz_dice\n" + rows)
    command = ["-m", "s2a_jax", "compare", "--config", "configs/synthetic.py:smoke",
               "--networks", "unet", "--add", f"other={other}",
               f"--config.data.synthetic.root={shared / 'eyes'}",
               "--config.log.every_steps=1", "--workdir", str(folder)]  # fmt: skip

    started = forks.start(command)
    metrics = folder / "unet-seed0/metrics.jsonl"
    deadline = time.monotonic() + 200
    while not metrics.exists() and not started.have_ended() and time.monotonic() < deadline:
        time.sleep(0.02)
    started.signal(signal.SIGTERM)
    (done,) = started.wait()
    assert done.returncode == 128 + signal.SIGTERM, done.stdout + done.stderr
    assert "run the same command again to resume" in done.stdout

    done = forks.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (folder / "logs/unet-seed0.log").read_text()
    assert "Stopped by SIGTERM" in log and "Resuming from step" in log
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["unet", "other"] * 4  # two splits, two tasks
    assert "reference" in done.stdout and "n < 6" in done.stdout
    assert (folder / "curves.png").is_file()

    numbers = metrics.read_bytes()
    done = forks.run(*command, "--config.eval.protocol=otsu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unet-seed0: evaluating again" in done.stdout
    assert json.loads((folder / "unet-seed0/results/val.json").read_text())["protocol"] == "otsu"
    assert metrics.read_bytes() == numbers
