"""The numbers of a run while it trains: rows of metrics.jsonl, and TensorBoard events."""

import json
from pathlib import Path
from typing import NamedTuple

from s2a_jax.files import written_whole


def parse_row(line: bytes) -> dict[str, float] | None:
    """One row of metrics.jsonl: numbers by name, `step` among them; None for anything else."""
    try:
        row = json.loads(line)
    except (RecursionError, ValueError):  # no JSON, nested too deeply, or not even UTF-8
        return None
    is_row = isinstance(row, dict) and "step" in row
    return row if is_row and all(isinstance(v, int | float) for v in row.values()) else None


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
        jsonl: the file. Damaged rows are dropped, and so are rows after `step`, which a resumed run
            writes again.
        events: folder of the TensorBoard events.
        step: the step that the run starts from; at 0 events of an earlier attempt are deleted.

    Raises:
        UserError: `jsonl` cannot be written.
    """

    def __init__(self, jsonl: Path, events: Path, step: int):
        if jsonl.exists():
            lines = jsonl.read_bytes().splitlines()
            kept = [line for line in lines if (row := parse_row(line)) and row["step"] <= step]
            with written_whole(jsonl) as partial:
                partial.write_bytes(b"".join(line + b"\n" for line in kept))
        if step == 0:
            for file in events.glob("events.out.tfevents.*"):
                file.unlink()
        # Imported late: it imports PyTorch where that is installed, a second of every start.
        from tensorboardX import SummaryWriter

        self._file = jsonl.open("a")
        self._events = SummaryWriter(str(events), purge_step=step + 1 if step else None)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Appends one row; `step` is the number of updates made."""
        self._file.write(json.dumps({"step": step} | values) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes everything to disk."""
        self._file.close()
        self._events.close()


class NoWriter:
    """Writes nothing, in a process that is not the first one."""

    def write(self, step: int, values: dict[str, float]) -> None:
        """Drops one row."""

    def close(self) -> None:
        """Does nothing."""
