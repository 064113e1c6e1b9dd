"""The numbers of a run while it trains: rows of metrics.jsonl, and TensorBoard events."""

import contextlib
import json
import time
from pathlib import Path
from typing import NamedTuple

from s2a_jax.errors import UserError
from s2a_jax.files import writing, written_whole


def parse_row(line: bytes) -> dict[str, float] | None:
    """One row of metrics.jsonl: numbers by name, `step` among them, which is a whole one.

    Returns:
        None for anything else. Numbers other than the step may be NaN.
    """
    try:
        row = json.loads(line)
    except (RecursionError, ValueError):  # no JSON, nested too deeply, or not even UTF-8
        return None
    is_row = isinstance(row, dict) and type(row.get("step")) is int
    return row if is_row and all(type(v) in (int, float) for v in row.values()) else None


class Metrics(NamedTuple):
    """The content of metrics.jsonl.

    Attributes:
        rows: numbers by name, `step` among them.
        broken: numbers of the lines, from 1, that are no such row.
        is_cut: whether the last line is incomplete, as a killed run leaves it; such a line is
            neither in `rows` nor in `broken`.
    """

    rows: list[dict[str, float]]
    broken: list[int]
    is_cut: bool


def read_metrics(file: Path) -> Metrics:
    """Reads metrics.jsonl.

    Raises:
        ValueError: the file cannot be read; the message continues a sentence that starts with the
            file's name.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"could not be read ({error})") from error
    parsed = [parse_row(line) for line in content.splitlines()]
    broken = [number for number, row in enumerate(parsed, start=1) if row is None]
    is_cut = bool(parsed) and parsed[-1] is None and not content.endswith(b"\n")
    rows = [row for row in parsed if row is not None]
    return Metrics(rows, broken[:-1] if is_cut else broken, is_cut)


class MetricWriter:
    """Appends rows of numbers to metrics.jsonl and to TensorBoard events.

    Args:
        jsonl: the file. Lines that are no rows are dropped, and so are rows after `step`, which a
            resumed run writes again.
        events: folder of the TensorBoard events.
        step: the step that the run starts from; at 0 events of an earlier attempt are deleted.

    Attributes:
        dropped: how many lines were no rows; an incomplete last one does not count.
        last_step: step of the last row that has a loss, 0 without any.

    Raises:
        FullDiskError, UserError: a file cannot be read or written; so does every method.
    """

    def __init__(self, jsonl: Path, events: Path, step: int):
        self.dropped = self.last_step = 0
        self._path, self._folder = jsonl, events
        if jsonl.exists():
            self._keep(step)
        with writing(jsonl):
            self._file = jsonl.open("a")
        if step == 0:
            for file in events.glob("events.out.tfevents.*"):
                file.unlink()
        with writing(events):
            self._events = _Events(events, step)

    def _keep(self, step: int) -> None:
        """Leaves the rows up to `step` in metrics.jsonl."""
        try:
            metrics = read_metrics(self._path)
        except ValueError as error:
            raise UserError(f"{self._path} {error}.") from error
        self.dropped = len(metrics.broken)
        kept = [row for row in metrics.rows if row["step"] <= step]
        self.last_step = max((row["step"] for row in kept if "loss" in row), default=0)
        with written_whole(self._path) as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in kept))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Appends one row; `step` is the number of updates made."""
        with writing(self._path):
            self._file.write(json.dumps({"step": step} | values) + "\n")
            self._file.flush()
        with writing(self._folder):
            self._events.write(step, values)

    def close(self) -> None:
        """Flushes everything to disk."""
        with writing(self._path), contextlib.closing(self._events):
            self._file.close()


class _Events:
    """A new file of TensorBoard events.

    The caller's thread writes it. In the thread that `tensorboardX.SummaryWriter` has for it, a
    full disk would end the thread, and `add_scalar` would then wait for ever.

    Args:
        folder: where to put it.
        step: updates made; TensorBoard hides what earlier files have after them.
    """

    def __init__(self, folder: Path, step: int):
        # Imported late: it imports PyTorch where that is installed, a second of every start.
        from tensorboardX import event_file_writer, summary
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self._event, self._scalar = Event, summary.scalar
        self._writer = event_file_writer.EventsWriter(str(folder / "events"))
        if step:
            start = SessionLog(status=SessionLog.START)
            self._writer.write_event(Event(step=step + 1, session_log=start))
            self._writer.flush()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Appends one row."""
        for name, value in values.items():
            event = self._event(wall_time=time.time(), step=step, summary=self._scalar(name, value))
            self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


class NoWriter:
    """Writes nothing, in a process that is not the first one."""

    def __init__(self, step: int):
        self.dropped, self.last_step = 0, step

    def write(self, step: int, values: dict[str, float]) -> None:
        """Drops one row."""

    def close(self) -> None:
        """Does nothing."""
