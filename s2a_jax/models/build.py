"""Networks by name: from a configuration to explicit fields, and from fields to a module."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import flax.linen as nn
from ml_collections.config_dict import FieldReference, placeholder

from s2a_jax.errors import UserError
from s2a_jax.models.fields import FieldError, field_defaults
from s2a_jax.models.jointseg import JointSeg
from s2a_jax.models.s2anet import S2ANet
from s2a_jax.models.transunet import TransUNet
from s2a_jax.models.unet import UNet
from s2a_jax.models.vaffnet import VAFFNet

NETWORKS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "s2anet": S2ANet,
        "unet": UNet,
        "transunet": TransUNet,
        "jointseg": JointSeg,
        "vaffnet": VAFFNet,
    }
)
"""Network name -> Linen module.

Each has the fields `slabs` and `dtype`, a field `grid` if it stores (H/16, W/16) of the training
images, a method `check_fields` (`s2a_jax.models.fields`), and `variants`: `base` is the published
size, `small` and `tiny` are for a CPU.
"""

_SET_ELSEWHERE = ("grid", "slabs", "dtype")  # from the images, or a config field of all networks
_NO_FIELDS = ("name", "variant", "pretrained", "start_from")  # of config.model, not of a network


def field_placeholders() -> dict[str, FieldReference]:
    """An empty config field for each hyper-parameter of any network."""
    return {
        name: placeholder(type(default))
        for network in NETWORKS.values()
        for name, default in field_defaults(network).items()
        if name not in _SET_ELSEWHERE
    }


def network_fields(
    config: Mapping[str, Any], size: int, slabs: Sequence[str] = ()
) -> dict[str, Any]:
    """All fields of the network that a configuration describes.

    Args:
        config: `name`, `variant`, and any field of the network; a field that is None takes the
            variant's value.
        size: side of the training images in pixels; sets the grid of position embeddings.
        slabs: names of the images' channels if a case has several slabs; else ().

    Raises:
        UserError: an unknown network or variant, or fields that do not fit together.
    """
    name, variant = config["name"], config["variant"]
    if name not in NETWORKS:
        raise UserError(f"config.model.name={name!r}: expected one of {', '.join(NETWORKS)}.")
    network = NETWORKS[name]
    if variant not in network.variants:
        known = ", ".join(network.variants)
        raise UserError(f"config.model.variant={variant!r}: expected one of {known}.")
    defaults = field_defaults(network)
    given = {k: v for k, v in config.items() if v is not None and k not in _NO_FIELDS}
    if foreign := sorted(given.keys() - defaults.keys()):
        raise UserError(
            f"config.model.{foreign[0]}: {name} has no such field; it has "
            f"{', '.join(sorted(defaults))}."
        )
    fields = _with_tuples(defaults | {"dtype": "float32"} | network.variants[variant] | given)
    if "grid" in fields:
        fields["grid"] = (size // 16, size // 16)
    fields["slabs"] = tuple(slabs)
    if fields["dtype"] not in ("float32", "bfloat16"):
        raise UserError(f"config.model.dtype={fields['dtype']!r}: expected float32 or bfloat16.")
    try:
        network(**fields).check_fields()
    except FieldError as error:
        if error.field == "slabs":
            named = f"config.data.slab={','.join(slabs)}"
            raise UserError(f"{named}: {name} expects {error.expected}.") from error
        raise UserError(f"config.model.{error}") from error
    return fields


def build_network(name: str, fields: Mapping[str, Any]) -> nn.Module:
    """Builds a network from its fields; lists (from JSON) become tuples.

    Args:
        name: of the network.
        fields: hyper-parameters; missing ones take the network's default.

    Raises:
        UserError: an unknown network or field, or a value that makes no network.
    """
    if name not in NETWORKS:
        raise UserError(f"Unknown network {name!r}; this version knows {', '.join(NETWORKS)}.")
    if unknown := sorted(fields.keys() - field_defaults(NETWORKS[name]).keys()):
        raise UserError(f"The network {name} has no field {unknown[0]!r} in this version.")
    module = NETWORKS[name](**_with_tuples(fields))
    try:
        module.check_fields()
    except FieldError as error:
        raise UserError(f"The network {name} cannot have {error}") from error
    return module


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
