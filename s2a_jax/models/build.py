"""Networks by name: from a configuration to explicit fields, and from fields to a module."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import flax.linen as nn
from ml_collections.config_dict import FieldReference, placeholder

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
_SET_ELSEWHERE = ("grid", "slabs", "dtype")  # by the images, or by a field of every network
_CHOICE = ("name", "variant", "pretrained")  # which network, not what it is like


def field_placeholders() -> dict[str, FieldReference]:
    """An empty field of a configuration for every hyper-parameter that any network has."""
    return {
        field.name: placeholder(type(field.default))
        for network in NETWORKS.values()
        for field in dataclasses.fields(network)
        if field.name not in (*_NOT_HYPER_PARAMETERS, *_SET_ELSEWHERE)
    }


def network_fields(
    config: Mapping[str, Any], size: int, slabs: Sequence[str] = ()
) -> dict[str, Any]:
    """Every field of the network that a configuration describes.

    Args:
        config: `name`, `variant`, and any field of the network; fields that are None are the
            variant's.
        size: side of the training images in pixels; the position embeddings get its grid.
        slabs: names of the images' channels, where a case has several slabs; else ().

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
    fields = _with_tuples(defaults | {"dtype": "float32"} | VARIANTS[name][variant] | given)
    if "grid" in fields:
        fields["grid"] = (size // 16, size // 16)
    fields["slabs"] = tuple(slabs)
    if name == "vaffnet" and len(slabs) not in (0, 3):
        raise UserError(
            f"config.data.slab names {len(slabs)} slabs: vaffnet takes one, or three in the order "
            "whole, deep, superficial (FULL,OPL_BM,ILM_OPL of octa500, WRCC,DCC,SCC of rose)."
        )
    if fields["dtype"] not in ("float32", "bfloat16"):
        raise UserError(f"config.model.dtype={fields['dtype']!r}: expected float32 or bfloat16.")
    check_fields(name, fields, prefix="config.model.")
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


def check_fields(network: str, fields: Mapping[str, Any], prefix: str) -> None:
    """Checks that a network can be built with these values and gives logits of the image's size.

    Args:
        network: its name.
        fields: every field of the network.
        prefix: what stands before a field's name in messages.

    Raises:
        UserError: a value of another type or range, or fields that do not fit together.
    """

    def require(holds: bool, name: str, expected: str) -> None:
        if not holds:
            raise UserError(f"{prefix}{name}={fields[name]!r}: expected {expected}.")

    for field in dataclasses.fields(NETWORKS[network]):
        name, default = field.name, field.default
        value = fields.get(name)
        if type(default) is int:
            least = 0 if name == "gcem_first_channels" else 1
            require(type(value) is int and value >= least, name, f"a whole number >= {least}")
        elif name == "slabs":
            fits = isinstance(value, tuple) and all(isinstance(v, str) for v in value)
            fits = fits and len(set(value)) == len(value) != 1
            if network == "vaffnet":
                require(fits and len(value) in (0, 3), name, "none, or three different names")
            require(fits, name, "none, or two or more different names")
        elif isinstance(default, tuple):
            least = 0 if name in ("lcem_layers", "gcem_layers") else 1
            whole = isinstance(value, tuple) and all(type(v) is int and v >= least for v in value)
            require(whole, name, f"whole numbers >= {least}")
        elif isinstance(default, bool):
            require(isinstance(value, bool), name, "true or false")
    for name in ("decoder_channels", "gcem_decoder_channels"):
        channels = fields.get(name, ())
        may_be_empty = name not in fields or name.startswith("gcem")  # then as LCEM's
        fits = len(channels) == 4 or (may_be_empty and not channels)
        require(fits, name, "four numbers, one for each doubling from 1/16 of the image's size")
    if "units" in fields:
        stages = 4 if network == "vaffnet" else 3
        require(len(fields["units"]) == stages, "units", f"{stages} stages")
    if "dropout_rate" in fields:
        require(0 <= fields["dropout_rate"] < 1, "dropout_rate", "a share in [0, 1)")
    require(fields.get("heads", "own") in ("own", "context"), "heads", "own or context")
    if "widths" in fields:
        require(len(fields["widths"]) == 5, "widths", "five levels")
        divides = network != "jointseg" or fields["widths"][3] % 16 == 0
        require(divides, "widths", "a fourth number that divides by 16")
    for whole, part in (("hidden", "num_heads"), ("width", "groups")):
        if part in fields:
            divides = fields[whole] % fields[part] == 0
            require(divides, part, f"a divisor of {whole}={fields[whole]}")
    for name in ("lcem_layers", "gcem_layers"):
        layers = fields.get(name, (0,))
        ascends = layers == tuple(sorted(set(layers))) and layers
        require(bool(ascends), name, "blocks' indices >= 0, at least one, ascending")
        if fields.get("heads") == "context":
            blocks = fields.get("num_blocks", 1)
            require(max(layers) < blocks, name, f"indices below {blocks}, the encoder's blocks")
