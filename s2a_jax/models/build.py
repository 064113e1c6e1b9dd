"""Networks by name: from a configuration to explicit fields, and from fields to a module."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn

from s2a_jax.errors import UserError
from s2a_jax.models import s2anet

NETWORKS: Mapping[str, type[nn.Module]] = MappingProxyType({"s2anet": s2anet.S2ANet})
"""Network name -> Linen module."""

VARIANTS = MappingProxyType({"s2anet": s2anet.VARIANTS})
"""Network name -> variant name -> fields that differ from the module's defaults."""

_NOT_HYPER_PARAMETERS = ("parent", "name")


def network_fields(config: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Every field of the network that a configuration describes.

    Args:
        config: `name`, `variant`, and any field of the network; fields that are None are the
            variant's.
        size: side of the training images in pixels; the position embeddings get its grid.

    Raises:
        UserError: an unknown network or variant, or fields that do not fit together.
    """
    name, variant = config["name"], config["variant"]
    if name not in NETWORKS:
        raise UserError(f"config.model.name={name!r}: expected one of {', '.join(NETWORKS)}.")
    if variant not in VARIANTS[name]:
        known = ", ".join(VARIANTS[name])
        raise UserError(f"config.model.variant={variant!r}: expected one of {known}.")
    fields = {
        field.name: field.default
        for field in dataclasses.fields(NETWORKS[name])
        if field.name not in _NOT_HYPER_PARAMETERS
    }
    fields |= VARIANTS[name][variant]
    fields |= {k: v for k, v in config.items() if k in fields and v is not None}
    fields |= {"grid": (size // 16, size // 16), "dtype": config["dtype"]}
    fields = _with_tuples(fields)
    _check(fields)
    return fields


def build_network(name: str, fields: Mapping[str, Any]) -> nn.Module:
    """The module with these fields; lists, as JSON has them, become tuples.

    Raises:
        UserError: an unknown network or field.
    """
    if name not in NETWORKS:
        raise UserError(f"Unknown network {name!r}; this version knows {', '.join(NETWORKS)}.")
    known = {field.name for field in dataclasses.fields(NETWORKS[name])}
    if unknown := sorted(set(fields) - known):
        raise UserError(f"The network {name} has no field {unknown[0]!r} in this version.")
    return NETWORKS[name](**_with_tuples(fields))


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def _check(fields: Mapping[str, Any]) -> None:
    if fields["dtype"] not in ("float32", "bfloat16"):
        raise UserError(f"config.model.dtype={fields['dtype']!r}: expected float32 or bfloat16.")
    for whole, part in (("hidden", "num_heads"), ("width", "groups")):
        if fields[part] < 1 or fields[whole] % fields[part]:
            raise UserError(
                f"config.model.{part}={fields[part]} must divide config.model.{whole}="
                f"{fields[whole]}."
            )
    for name in ("lcem_layers", "gcem_layers"):
        if not fields[name] or min(fields[name]) < 0:
            raise UserError(
                f"config.model.{name}={fields[name]}: expected at least one block's index >= 0."
            )
