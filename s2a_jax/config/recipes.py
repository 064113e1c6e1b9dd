"""Training recipes: values of the fields that a configuration leaves empty, by variant."""

from types import MappingProxyType

from ml_collections import ConfigDict

from s2a_jax.config.load import load_config
from s2a_jax.errors import UserError

_CPU = {
    "objective.bce_weight": 1.0,
    "optimizer.name": "adam",
    "optimizer.learning_rate": 3e-3,
    "optimizer.schedule": "cosine",
    "optimizer.clip_norm": 1.0,
    "train.batch_size": 8,
    "augment.shift": 0.0,
    "augment.scale": 0.0,
    "augment.aspect": 0.0,
    "augment.rotate_degrees": 0.0,
    "augment.elastic": False,
    "augment.gamma": 0.5,
}

RECIPES = MappingProxyType(
    {
        # As the released PyTorch code: whole images, only Dice, every augmentation.
        "base": {
            "objective.bce_weight": 0.0,
            "optimizer.name": "adam",
            "optimizer.learning_rate": 0.01,
            "optimizer.schedule": "poly_epoch",
            "optimizer.clip_norm": 0.0,
            "train.epochs": 500,
            "train.batch_size": 4,
            "augment.shift": 0.1,
            "augment.scale": 0.1,
            "augment.aspect": 0.1,
            "augment.rotate_degrees": 20.0,
            "augment.elastic": True,
            "augment.gamma": 0.0,
            "augment.crop": 0,
            "eval.every_epochs": 5,
        },
        # Random crops and a short cosine schedule: half an hour for 3M on two CPU cores.
        "small": _CPU | {"train.epochs": 50, "augment.crop": 192, "eval.every_epochs": 5},
        "tiny": _CPU | {"train.epochs": 60, "augment.crop": 128, "eval.every_epochs": 5},
    }
)
"""Variant -> field -> value."""


def resolve(config: ConfigDict) -> ConfigDict:
    """Copies `config` and fills in the recipe of its variant where fields are None.

    Raises:
        UserError: there is no such variant.
    """
    config = config.copy_and_resolve_references()
    variant = config.model.variant
    if variant not in RECIPES:
        raise UserError(f"config.model.variant={variant!r}: expected one of {', '.join(RECIPES)}.")
    for path, value in RECIPES[variant].items():
        section, field = path.split(".")
        if config[section][field] is None:
            config[section][field] = value
    return config


def defaults_of(config: ConfigDict) -> ConfigDict:
    """The resolved configuration of a run that chooses only the network and variant of `config`.

    Args:
        config: a resolved configuration.
    """
    defaults = load_config("default")
    defaults.model.update({"name": config.model.name, "variant": config.model.variant})
    return resolve(defaults)
