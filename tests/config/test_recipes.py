"""What the variants' recipes fill in, and what they leave as it is."""

import pytest

from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import RECIPES, defaults_of, resolve
from s2a_jax.errors import UserError

# The training loop of the released PyTorch code, and the values it runs with.
RELEASED = {
    "model.variant": "base",
    "optimizer.name": "adam",
    "optimizer.learning_rate": 0.01,
    "optimizer.schedule": "poly_epoch",
    "optimizer.power": 0.9,
    "optimizer.b1": 0.9,
    "optimizer.b2": 0.999,
    "optimizer.eps": 1e-8,
    "optimizer.clip_norm": 0.0,
    "objective.balance": "dwb",
    "objective.bce_weight": 0.0,
    "objective.stop_alpha_gradient": False,
    "objective.fixed_rv_weight": 0.8,
    "train.epochs": 500,
    "train.batch_size": 4,
    "train.accumulate": 1,
    "train.ema_decay": 0.0,
    "augment.probability": 0.5,
    "augment.shift": 0.1,
    "augment.scale": 0.1,
    "augment.aspect": 0.1,
    "augment.rotate_degrees": 20.0,
    "augment.flip": True,
    "augment.rot90": True,
    "augment.elastic": True,
    "augment.crop": 0,
    "augment.gamma": 0.0,
    "augment.contrast": 0.0,
    "augment.noise": 0.0,
    "augment.motion_stripes": 0.0,
    "augment.local_shadow": 0.0,
    "augment.blur": 0.0,
    "eval.threshold": 0.5,
}


def field(config, path):
    section, name = path.split(".")
    return config[section][name]


def test_base_is_the_released_code():
    config = resolve(load_config("default"))
    assert {path: field(config, path) for path in RELEASED} == RELEASED


@pytest.mark.parametrize(("variant", "epochs", "crop"), [("small", 50, 192), ("tiny", 60, 128)])
def test_the_small_variants_train_on_crops_without_warps(variant, epochs, crop):
    config = load_config("default")
    config.model.variant = variant
    resolved = resolve(config)
    assert (resolved.train.epochs, resolved.augment.crop) == (epochs, crop)
    assert (resolved.train.batch_size, resolved.eval.every_epochs) == (8, 5)
    optimizer = resolved.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.clip_norm) == ("adam", 3e-3, 1.0)
    assert (resolved.objective.bce_weight, resolved.augment.gamma) == (1.0, 0.5)
    warps = [resolved.augment[name] for name in ("shift", "scale", "aspect", "rotate_degrees")]
    assert not any(warps) and resolved.augment.elastic is False
    assert (resolved.augment.flip, resolved.augment.rot90) == (True, True)


@pytest.mark.parametrize("variant", RECIPES)
def test_only_empty_fields_are_filled(variant):
    config = load_config("default")
    config.model.variant = variant
    mine = {"augment.crop": 0, "augment.elastic": False, "optimizer.clip_norm": 0.0,
            "train.epochs": 3, "augment.shift": 0.3}  # fmt: skip
    config.update_from_flattened_dict(mine)
    resolved = resolve(config)
    assert {path: field(resolved, path) for path in mine} == mine
    assert not any(field(resolved, path) is None for path in RECIPES[variant])
    assert config.optimizer.learning_rate is None  # resolve leaves what it takes as it is
    defaults = defaults_of(resolved)
    assert defaults.model.variant == variant
    assert {path: field(defaults, path) for path in RECIPES[variant]} == RECIPES[variant]


def test_defaults_keep_the_network():
    config = load_config("default")
    config.model.update({"name": "unet", "variant": "tiny"})
    assert defaults_of(resolve(config)).model.name == "unet"


def test_an_unknown_variant_is_refused():
    config = load_config("default")
    config.model.variant = "huge"
    with pytest.raises(UserError, match=r"config\.model\.variant='huge': .* base, small, tiny"):
        resolve(config)
