"""Ranges of numeric fields, checked before any file is read."""

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

from s2a_jax.errors import UserError

_Range = tuple[Callable[[float], bool], str]


def _at_least(least: float) -> _Range:
    return lambda value: value >= least, f"at least {least:g}"


_ABOVE_0: _Range = (lambda value: value > 0, "more than 0")
_BELOW_1: _Range = (lambda value: 0 <= value < 1, "at least 0 and less than 1")
_RANGES = {
    "seed": _at_least(0),
    "data.train_cases": _at_least(0),
    "data.synthetic.seed": _at_least(0),
    "objective.fixed_rv_weight": (lambda value: 0 <= value <= 1, "0 to 1"),
    "objective.bce_weight": _at_least(0),
    "objective.cldice_weight": _at_least(0),
    "objective.cldice_iterations": _at_least(0),
    "optimizer.learning_rate": _ABOVE_0,
    "optimizer.power": _at_least(0),
    "optimizer.warmup_fraction": _BELOW_1,
    "optimizer.b1": _BELOW_1,
    "optimizer.b2": _BELOW_1,
    "optimizer.eps": _ABOVE_0,
    "optimizer.weight_decay": _at_least(0),
    "optimizer.clip_norm": _at_least(0),
    "optimizer.encoder_rate": _at_least(0),
    "train.updates": _at_least(0),
    "train.epochs": _at_least(1),
    "train.batch_size": _at_least(1),
    "train.accumulate": _at_least(1),
    "train.ema_decay": _BELOW_1,
    "eval.every_epochs": _at_least(1),
    "eval.batch_size": _at_least(0),
    "eval.overlays": _at_least(0),
    "log.every_steps": _at_least(1),
}
"""Field -> a test of its value, and the expected range in words."""


def check_ranges(config: Any) -> None:
    """Checks the fields in `_RANGES`; data, augmentation and networks check theirs themselves.

    Args:
        config: a resolved configuration.

    Raises:
        UserError: a value is missing or out of its range.
    """
    for field, (is_usable, expected) in _RANGES.items():
        value = functools.reduce(operator.getitem, field.split("."), config)
        if value is None or not (math.isfinite(value) and is_usable(value)):
            raise UserError(f"config.{field}={value}: expected {expected}.")
