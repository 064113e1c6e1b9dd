"""Ranges of numeric fields, checked before any file is read."""

import functools
import math
import operator
import os
from collections.abc import Callable
from typing import Any

from s2a_jax.errors import UserError

_Range = tuple[Callable[[float], bool], str]


def _at_least(least: float) -> _Range:
    return lambda value: value >= least, f"at least {least:g}"


_ABOVE_0: _Range = (lambda value: value > 0, "more than 0")
_BELOW_1: _Range = (lambda value: 0 <= value < 1, "at least 0 and less than 1")
_MOST = 1_000_000
_FOLDERS = ("data.root", "data.synthetic.root")
_LONGEST_NAME = 255  # bytes, of a name in a path; so file systems have it
_RANGES = {
    # JAX takes the last 32 bits of a larger seed, and two seeds would give one run.
    "seed": (lambda value: 0 <= value < 2**32, "0 to 2^32 - 1"),
    "data.train_cases": _at_least(0),
    "data.synthetic.seed": (lambda value: 0 <= value < 2**64, "0 to 2^64 - 1"),
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
    "train.updates": (lambda value: 0 <= value <= 10**9, "0 to 10^9"),
    "train.epochs": (lambda value: 1 <= value <= _MOST, f"1 to {_MOST:,}"),
    "train.batch_size": _at_least(1),
    "train.accumulate": _at_least(1),
    "train.ema_decay": _BELOW_1,
    "eval.every_epochs": _at_least(1),
    "eval.batch_size": (lambda value: 0 <= value <= _MOST, f"0 to {_MOST:,}"),
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
    for field in _FOLDERS:
        folder = functools.reduce(operator.getitem, field.split("."), config)
        if not folder or max(map(len, os.fsencode(folder).split(b"/"))) > _LONGEST_NAME:
            raise UserError(
                f"config.{field}={str(folder)[:_LONGEST_NAME]!r}: expected the path of a folder, "
                f"whose names have at most {_LONGEST_NAME} bytes (. is the current one)."
            )
    file = config.model.pretrained
    if file and not os.path.isfile(os.path.expanduser(file)):
        raise UserError(f"config.model.pretrained={file}: there is no such file; check its path.")
    for field, (is_usable, expected) in _RANGES.items():
        value = functools.reduce(operator.getitem, field.split("."), config)
        if value is None or not (math.isfinite(value) and is_usable(value)):
            raise UserError(f"config.{field}={value}: expected {expected}.")
