"""Where numbers go while a run is under way: metrics.jsonl and TensorBoard events."""

import json
from pathlib import Path


class MetricWriter:
    """Appends rows of scalars to a JSON-lines file and to TensorBoard events.

    Args:
        jsonl: the file; rows after `step` are dropped, since a resumed run makes them again.
        events: folder of the TensorBoard events.
        step: the step that the run goes on from; at 0 events of an earlier attempt are deleted.
    """

    def __init__(self, jsonl: Path, events: Path, step: int):
        if jsonl.exists():
            rows = [line for line in jsonl.read_text().splitlines() if _step(line) <= step]
            jsonl.write_text("".join(row + "\n" for row in rows))
        if step == 0:
            for file in events.glob("events.out.tfevents.*"):
                file.unlink()
        # Only now: it imports PyTorch where that is installed, a second of every start.
        from tensorboardX import SummaryWriter

        self._file = jsonl.open("a")
        self._events = SummaryWriter(str(events), purge_step=step + 1 if step else None)

    def write(self, step: int, values: dict[str, float]) -> None:
        """One row; `step` is the number of updates made."""
        self._file.write(json.dumps({"step": step} | values) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes everything to disk."""
        self._file.close()
        self._events.close()


def _step(line: str) -> float:
    """The step of a row; past every step for a row that a crash cut short."""
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError):
        return float("inf")
