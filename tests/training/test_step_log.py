"""Rows of metrics.jsonl do not depend on where a run was stopped."""

import json
from types import SimpleNamespace

import pytest

from s2a_jax.runs.metrics import MetricWriter
from s2a_jax.training.step_log import StepLog

STEPS, EPOCH, EVERY = 21, 7, 3


def setup():
    stream = SimpleNamespace(
        eye_speed=dict, source_counts=lambda first, last: {"ours": last - first, "theirs": 2 * last}
    )
    training = SimpleNamespace(
        stream=stream, schedule=lambda step: step / 100, steps_per_epoch=EPOCH
    )
    return SimpleNamespace(training=training, dataset=SimpleNamespace(sources=["ours", "theirs"]))


def run(folder, start, stop):
    """The calls of the training loop from step `start` to `stop`, where a signal comes."""
    writer = MetricWriter(folder / "metrics.jsonl", folder / "events", start)
    log = StepLog(setup(), None, writer, None, start, batch_size=2, every=EVERY)
    for step in range(start + 1, stop + 1):
        log.add({"loss": 1 / step, "grad_norm": 1.0, "loss_rv": 0.1, "loss_faz": 0.0, "alpha": 0.5,
                 "masks_rv": 2, "masks_faz": 0})  # fmt: skip
        if step % EVERY == 0:
            log.fetch(step, late=EVERY)
        if step % EPOCH == 0:
            log.fetch(step, is_validated=True)
            writer.write(step, {"val_score": 1.0})
        elif step == stop:
            log.fetch(step)
    writer.close()


def rows(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) | {"images_per_second": None} for line in lines]


def test_rows_are_those_of_an_unbroken_run(tmp_path):
    run(tmp_path / "unbroken", 0, STEPS)
    expected = rows(tmp_path / "unbroken")
    losses = [row for row in expected if "loss" in row]
    # Every third step, and the last of each epoch.
    assert [row["step"] for row in losses] == [3, 6, 7, 9, 12, 14, 15, 18, 21]
    assert [row["cases_ours"] for row in losses] == [3, 3, 1, 2, 3, 2, 1, 3, 3]
    assert [row["epoch"] for row in losses] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert all(row["loss"] == 1 / row["step"] for row in losses)
    assert losses[3]["learning_rate"] == 0.08 and "loss_faz" not in losses[3]
    assert [row["step"] for row in expected if "val_score" in row] == [7, 14, 21]
    for stop in range(1, STEPS):
        run(tmp_path / str(stop), 0, stop)
        run(tmp_path / str(stop), stop, STEPS)
        assert rows(tmp_path / str(stop)) == expected, stop


@pytest.fixture(autouse=True)
def folders(tmp_path):
    for name in ("unbroken", *map(str, range(STEPS))):
        (tmp_path / name).mkdir()
