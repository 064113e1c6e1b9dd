"""Shapes of the JSON files that the report reads: the types of the fields that it uses.

A shape is a `Kind`, a list with the one shape of its items, a dict with the shapes of an object's
fields (it may have other fields, too), `Each` or `Maybe`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from s2a_jax.evaluation.labels import TASK_LABELS


@dataclass(frozen=True)
class Kind:
    """A kind of value: its name in messages, and a test."""

    name: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Each:
    """An object whose fields may have any name and all have one shape."""

    shape: Any


@dataclass(frozen=True)
class Maybe:
    """A value that may be missing or null."""

    shape: Any


def misfit(value: Any, shape: Any, name: str) -> str | None:
    """Describes the first part of a JSON value that does not have its shape; None if all have.

    Args:
        value: the JSON value.
        shape: the shape that it should have.
        name: name of the value in the message.
    """
    match shape:
        case Kind(kind, holds):
            return None if holds(value) else f"{name} is not {kind}"
        case Maybe(inner):
            return None if value is None else misfit(value, inner, name)
        case [inner]:
            if not isinstance(value, list):
                return f"{name} is not a list"
            parts = [(item, inner, f"{name}[{i}]") for i, item in enumerate(value)]
        case _:
            if not isinstance(value, dict):
                return f"{name} is not an object"
            shapes = dict.fromkeys(value, shape.shape) if isinstance(shape, Each) else shape
            parts = [(value.get(key), inner, f"{name}.{key}") for key, inner in shapes.items()]
    return next((found for part in parts if (found := misfit(*part)) is not None), None)


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number, perhaps NaN or infinite, that fits into a float."""
    is_int = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e100
    return is_int or isinstance(value, float)


def is_finite(value: Any) -> bool:
    """Whether a JSON value is a number that can be drawn; axes cannot span the largest floats."""
    return is_number(value) and abs(value) < 1e100


def _columns(*lists: str, numbers: tuple[str, ...] = (), maybe: tuple[str, ...] = ()) -> Kind:
    """Makes the kind of an object with lists of numbers of one length, and with single numbers."""

    def holds(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        columns = [value.get(name) for name in lists]
        return (
            all(isinstance(column, list) and all(map(is_finite, column)) for column in columns)
            and len({len(column) for column in columns}) == 1
            and all(is_finite(value.get(name)) for name in numbers)
            and all(value.get(name) is None or is_finite(value[name]) for name in maybe)
        )

    names = ", ".join((*numbers, *maybe))
    return Kind(
        f"an object of equally long lists ({', '.join(lists)}) and numbers ({names})", holds
    )


_TEXT = Kind("a text", lambda value: isinstance(value, str))
_NUMBER = Kind("a number", is_number)
_BOOL = Kind("true or false", lambda value: isinstance(value, bool))

CONFIG = {
    "model": Maybe({}),
    "data": Maybe({}),
    "train": Maybe({"epochs": Maybe(_NUMBER)}),
    "eval": Maybe({"threshold": Maybe(_NUMBER), "choose": Maybe(_TEXT)}),
}
"""Shape of config.json."""

_SESSION = {
    "started": Maybe(_TEXT),
    "ended": Maybe(_TEXT),
    "failed": Maybe(_TEXT),
    "command": Maybe([_TEXT]),
    "commit": Maybe(_TEXT),
    "uncommitted_changes": Maybe(_BOOL),
    "versions": Maybe(Each(_TEXT)),
    "devices": Maybe([{"kind": _TEXT, "platform": _TEXT, "count": _NUMBER}]),
    "processes": Maybe(_NUMBER),
    "hardware": Maybe(
        {
            "processor": Maybe(_TEXT),
            "cores": Maybe(_NUMBER),
            "memory_gib": Maybe(_NUMBER),
            "system": Maybe(_TEXT),
        }
    ),
}
ENVIRONMENT = {**_SESSION, "resumed": Maybe([_SESSION])}
"""Shape of environment.json."""

_CURVES = {
    "roc": Maybe(_columns("fpr", "tpr", numbers=("auc",))),
    "pr": Maybe(_columns("recall", "precision", numbers=("average_precision",))),
    "calibration": Maybe(_columns("confidence", "frequency", "pixels", numbers=("ece",))),
}
RESULT = {
    "network": Maybe(_TEXT),
    "protocol": Maybe(_TEXT),
    "threshold": Maybe(_NUMBER),
    "step": Maybe(_NUMBER),
    "cases": Maybe(_NUMBER),
    "um_per_px": Maybe(_NUMBER),
    "window_definition": Maybe(_TEXT),
    "postprocess": Maybe(_BOOL),
    "notes": Maybe([_TEXT]),
    "metrics": Each(
        Each(dict.fromkeys(("mean", "sd", "low", "high", "cases", "pooled"), Maybe(_NUMBER)))
    ),
    "curves": Maybe(dict.fromkeys(TASK_LABELS, Maybe(_CURVES))),
    "biomarkers": Maybe(
        Each(_columns("predicted", "true", maybe=("cases", "bias", "low", "high", "icc")))
    ),
    "pictures": Maybe({"best": Maybe([_TEXT]), "worst": Maybe([_TEXT])}),
}
"""Shape of results/<split>.json."""
