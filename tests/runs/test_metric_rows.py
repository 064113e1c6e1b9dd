"""Rows of metrics.jsonl: read, and kept or dropped when a run resumes."""

import json

import pytest

from s2a_jax.runs.metrics import MetricWriter, read_metrics

GOOD = b'{"step": 1, "loss": 0.5}'
DAMAGED = [b"5", b"null", b"[1]", b"", b'{"loss": 1}', b'{"step": "1"}', b'{"step": 1, "lo',
           b'{"step": 1, "l\xffss": 1}']  # fmt: skip


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_resumed_run_keeps_the_whole_rows_up_to_its_step(tmp_path, damaged):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b"\n".join([GOOD, damaged, b'{"step": 2, "loss": NaN}', b'{"step": 3}']))
    assert read_metrics(file).broken == [2]
    writer = MetricWriter(file, tmp_path / "tensorboard", 2)
    writer.write(3, {"loss": 0.25})
    writer.close()
    metrics = read_metrics(file)
    assert [row["step"] for row in metrics.rows] == [1, 2, 3] and not metrics.broken
    assert file.read_bytes().startswith(GOOD + b"\n")


def test_a_cut_last_row_is_not_counted_as_broken(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(GOOD + b"\n5\n" + GOOD[:10])
    assert read_metrics(file) == ([json.loads(GOOD)], [2], True)
    file.write_bytes(GOOD)  # whole, although its line does not end
    assert read_metrics(file) == ([json.loads(GOOD)], [], False)
    file.write_bytes(b"")
    assert read_metrics(file) == ([], [], False)


def test_a_run_from_the_first_step_has_only_its_own_rows(tmp_path):
    for step in (3, 2):
        writer = MetricWriter(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", 0)
        writer.write(step, {"loss": 1.0})
        writer.close()
        events = [path.name for path in (tmp_path / "tensorboard").iterdir()]
        assert len(events) == 1
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["step"] == 2
