"""Rows of metrics.jsonl: read, and kept or dropped when a run resumes."""

import json
import resource
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from s2a_jax.errors import FullDiskError, UserError
from s2a_jax.runs.metrics import MetricWriter, read_metrics

GOOD = b'{"step": 1, "loss": 0.5}'
DAMAGED = [b"5", b"null", b"[1]", b"", b'{"loss": 1}', b'{"step": "1"}', b'{"step": NaN}',
           b'{"step": true}', b'{"step": 1.0}', b'{"step": 1, "loss": null}', b"[" * 9999,
           b'{"step": 1, "lo', b'{"step": 1, "l\xffss": 1}']  # fmt: skip


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_resumed_run_keeps_the_whole_rows_up_to_its_step(tmp_path, damaged):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b"\n".join([GOOD, damaged, b'{"step": 2, "loss": NaN}', b'{"step": 3}']))
    assert read_metrics(file).broken == [2]
    writer = MetricWriter(file, tmp_path / "tensorboard", 2)
    assert (writer.dropped, writer.last_step) == (1, 2)
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


def events(folder):
    """Step, tag and value of the events in a file, which holds length, sum, event, sum of each."""
    (file,) = folder.iterdir()
    content, found = file.read_bytes(), []
    while content:
        (length,) = struct.unpack_from("<Q", content)
        event = Event.FromString(content[12 : 12 + length])
        start = event.session_log.status == SessionLog.START
        found += [(event.step, "start", None)] * start
        found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        content = content[16 + length :]
    return found


def test_tensorboard_gets_every_row(tmp_path):
    writer = MetricWriter(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", 2)
    writer.write(3, {"loss": 0.25, "alpha": 2})
    expected = [(3, "start", None), (3, "loss", 0.25), (3, "alpha", 2.0)]
    assert events(tmp_path / "tensorboard") == expected  # before it is closed
    writer.close()


def test_a_full_disk_names_the_file(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(GOOD + b"\n")
    writer = MetricWriter(file, tmp_path / "tensorboard", 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, limits[1]))
    try:
        for fail in (lambda: writer.write(2, {"loss": 0.123456789}), writer.close):
            with pytest.raises(FullDiskError, match=f"Cannot write {file}: the disk is full"):
                fail()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    again = MetricWriter(file, tmp_path / "tensorboard", 1)
    again.close()
    assert (again.dropped, file.read_bytes()) == (0, GOOD + b"\n")


def test_rows_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"metrics\.jsonl could not be read"):
        MetricWriter(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", 1)
