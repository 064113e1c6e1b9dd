"""Numeric fields out of their range."""

import pytest

from s2a_jax.config.load import load_config
from s2a_jax.config.ranges import check_ranges
from s2a_jax.config.recipes import resolve
from s2a_jax.errors import UserError


@pytest.mark.parametrize(
    ("field", "wrong", "right"),
    [
        ("seed", -1, 0),
        ("seed", 2**32, 2**32 - 1),
        ("data.synthetic.seed", 2**64, 2**64 - 1),
        ("objective.fixed_rv_weight", 1.1, 1.0),
        ("objective.cldice_weight", -0.5, 0.0),
        ("objective.cldice_iterations", -1, 0),
        ("optimizer.learning_rate", 0.0, 1e-9),
        ("optimizer.learning_rate", float("nan"), 10.0),
        ("optimizer.learning_rate", float("inf"), 1.0),
        ("optimizer.b1", 1.0, 0.0),
        ("optimizer.b2", -0.1, 0.999),
        ("optimizer.eps", 0.0, 1e-8),
        ("optimizer.weight_decay", -1e-4, 0.0),
        ("optimizer.clip_norm", -1.0, 0.0),
        ("optimizer.power", -0.5, 0.0),
        ("optimizer.warmup_fraction", 1.0, 0.0),
        ("train.epochs", 0, 1),
        ("train.batch_size", -4, 1),
        ("train.ema_decay", 1.0, 0.0),
        ("eval.batch_size", -1, 0),
    ],
)
def test_ranges(field, wrong, right):
    config = resolve(load_config("synthetic"))
    config.update_from_flattened_dict({field: right})
    check_ranges(config)
    config.update_from_flattened_dict({field: wrong})
    with pytest.raises(UserError, match=rf"config\.{field}={wrong}: expected"):
        check_ranges(config)
