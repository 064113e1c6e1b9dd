"""Readers of the files in a run's folder; they raise a ValueError for what cannot be read."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open


def read_object(file: Path) -> dict[str, Any]:
    """A file that holds one JSON object.

    Raises:
        ValueError: it does not; the message goes on from the file's name, as of all readers here.
    """
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"could not be read ({error})") from error
    if not isinstance(content, dict):
        raise ValueError("holds no JSON object")
    return content


class Metrics(NamedTuple):
    """What metrics.jsonl holds.

    Attributes:
        rows: numbers by name, `step` among them.
        broken: numbers of the lines, from 1, that are no such row.
        is_cut: whether the last line was cut, as a killed run leaves it; it is in neither list.
    """

    rows: list[dict[str, float]]
    broken: list[int]
    is_cut: bool


def read_metrics(file: Path) -> Metrics:
    """Reads metrics.jsonl.

    Raises:
        ValueError: it cannot be read at all.
    """
    try:
        text = file.read_text(errors="replace")
    except OSError as error:
        raise ValueError(f"could not be read ({error})") from error
    rows, broken, lines = [], [], text.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            is_row = "step" in row and all(isinstance(v, int | float) for v in row.values())
        except (ValueError, TypeError, AttributeError):
            is_row = False
        if is_row:
            rows.append(row)
        else:
            broken.append(number)
    is_cut = broken[-1:] == [len(lines)] and not text.endswith("\n")
    return Metrics(rows, broken[:-1] if is_cut else broken, is_cut)


def count_parameters(file: Path) -> int:
    """Number of a network's parameters in weights.safetensors.

    Raises:
        ValueError: it is no such file.
    """
    try:
        with safe_open(file, framework="np") as weights:
            names = [name for name in weights.keys() if name.startswith("params/")]
            return sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"could not be read ({error})") from error
