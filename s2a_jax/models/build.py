"""Networks by name: from a configuration to explicit fields, and from fields to a module."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn

from s2a_jax.errors import UserError
from s2a_jax.models import jointseg, s2anet, transunet, unet, vaffnet

NETWORKS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "s2anet": s2anet.S2ANet,
        "unet": unet.UNet,
        "transunet": transunet.TransUNet,
        "jointseg": jointseg.JointSeg,
        "vaffnet": vaffnet.VAFFNet,
    }
)
"""Network name -> Linen module."""

VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "s2anet": s2anet.VARIANTS,
        "unet": unet.VARIANTS,
        "transunet": transunet.VARIANTS,
        "jointseg": jointseg.VARIANTS,
        "vaffnet": vaffnet.VARIANTS,
    }
)
"""Network name -> variant name -> fields that differ from the module's defaults."""

_NOT_HYPER_PARAMETERS = ("parent", "name")
_CHOICE = ("name", "variant", "pretrained")  # which network, not what it is like


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
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(NETWORKS[name])
        if field.name not in _NOT_HYPER_PARAMETERS
    }
    given = {k: v for k, v in config.items() if v is not None and k not in _CHOICE}
    if foreign := sorted(given.keys() - defaults.keys()):
        raise UserError(
            f"config.model.{foreign[0]}: {name} has no such field; it has "
            f"{', '.join(sorted(defaults))}."
        )
    fields = _with_tuples(defaults | VARIANTS[name][variant] | given)
    if "grid" in fields:
        fields["grid"] = (size // 16, size // 16)
    _check(name, fields)
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


def _check(network: str, fields: Mapping[str, Any]) -> None:
    """Raises a UserError for values that the network cannot be built with."""
    if fields["dtype"] not in ("float32", "bfloat16"):
        raise UserError(f"config.model.dtype={fields['dtype']!r}: expected float32 or bfloat16.")
    for whole, part in (("hidden", "num_heads"), ("width", "groups")):
        if part in fields and (fields[part] < 1 or fields[whole] % fields[part]):
            raise UserError(
                f"config.model.{part}={fields[part]} must divide config.model.{whole}="
                f"{fields[whole]}."
            )
    if fields.get("heads", "own") not in ("own", "context"):
        raise UserError(f"config.model.heads={fields['heads']!r}: expected own or context.")
    if "widths" in fields and len(fields["widths"]) != 5:
        raise UserError(f"config.model.widths={fields['widths']}: expected five levels.")
    if network == "jointseg" and fields["widths"][3] % 16:
        raise UserError(f"config.model.widths={fields['widths']}: the fourth must divide by 16.")
    for name in ("lcem_layers", "gcem_layers"):
        layers = fields.get(name, (0,))
        if not layers or min(layers) < 0:
            raise UserError(
                f"config.model.{name}={layers}: expected at least one block's index >= 0."
            )
        if fields.get("heads") == "context" and max(layers) >= fields.get("num_blocks", 1):
            raise UserError(
                f"config.model.{name}={layers}: the encoder has {fields['num_blocks']} blocks, "
                "counted from 0."
            )
