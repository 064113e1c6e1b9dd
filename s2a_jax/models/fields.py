"""Checks of fields that several networks share.

Each network has a method `check_fields`: it raises `FieldError` unless the fields make a network
whose logits have the image's size.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

_DTYPES = ("float32", "bfloat16", "float16", "float64")
_WIDEST = 16_384  # channels; ten times those of any network here
_DEEPEST = 128  # layers of one stage
_SHOWN = 200  # characters of a value in a message
_DEPTHS = ("units", "layers", "num_blocks", "lcem_layers", "gcem_layers")
"""Fields that count layers, or number them."""

Variants = Mapping[str, Mapping[str, Any]]
"""Variant name -> fields that differ from the network's defaults."""


class FieldError(ValueError):
    """A field of a network with a value that cannot be used.

    Attributes:
        field: its name.
        expected: the values that are allowed, in words.
    """

    def __init__(self, field: str, value: Any, expected: str):
        shown = repr(value) if len(repr(value)) <= _SHOWN else f"{repr(value)[:_SHOWN]}..."
        super().__init__(f"{field}={shown}: expected {expected}.")
        self.field, self.expected = field, expected


def field_defaults(network: nn.Module | type[nn.Module]) -> dict[str, Any]:
    """Name -> default of a network's hyper-parameters."""
    return {
        field.name: field.default
        for field in dataclasses.fields(network)
        if field.name not in ("parent", "name")  # Flax's own
    }


def require(holds: bool, network: nn.Module, name: str, expected: str) -> None:
    """Raises a FieldError about the field `name` unless `holds`."""
    if not holds:
        raise FieldError(name, getattr(network, name), expected)


def check_types(network: nn.Module, at_least_0: Collection[str] = ()) -> None:
    """Checks each field's type: whole numbers, tuples of them, bools, slab names and dtype.

    Args:
        network: the module.
        at_least_0: fields whose numbers may be 0; those of all others are at least 1.
    """
    for name, default in field_defaults(network).items():
        value, least = getattr(network, name), 0 if name in at_least_0 else 1
        if name == "dtype":
            require(_is_float(value), network, name, " or ".join(_DTYPES))
        elif name == "slabs":
            fits = isinstance(value, tuple) and all(isinstance(v, str) for v in value)
            fits = fits and len(set(value)) == len(value) != 1
            require(fits, network, name, "none, or two or more different names")
        elif isinstance(default, bool):
            require(isinstance(value, bool), network, name, "true or false")
        elif isinstance(default, int | tuple):
            is_one = isinstance(default, int)
            most = _DEEPEST if name in _DEPTHS else _WIDEST
            values = (value,) if is_one else value
            fits = isinstance(values, tuple) and len(values) <= _DEEPEST
            fits = fits and all(type(v) is int and least <= v <= most for v in values)
            kind = "a whole number" if is_one else "whole numbers"
            require(fits, network, name, f"{kind} from {least} to {most}")


def _is_float(dtype: Any) -> bool:
    try:
        return dtype is not None and jnp.dtype(dtype).name in _DTYPES
    except TypeError:  # no type at all
        return False


def check_length(network: nn.Module, name: str, length: int, items: str) -> None:
    """Requires `length` numbers; `items` says what each stands for."""
    require(len(getattr(network, name)) == length, network, name, f"{length} numbers, {items}")


def check_divisor(network: nn.Module, part: str, whole: str) -> None:
    """Requires that the field `part` divides the field `whole`."""
    total = getattr(network, whole)
    divides = total % getattr(network, part) == 0
    require(divides, network, part, f"a divisor of {whole}={total}")


def check_choice(network: nn.Module, name: str, choices: Collection[str]) -> None:
    """Requires one of `choices`."""
    require(getattr(network, name) in choices, network, name, " or ".join(choices))
