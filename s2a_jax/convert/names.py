"""PyTorch's names for a network's arrays, as regular expressions on Flax paths."""

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple

from s2a_jax.errors import UserError

Rule = tuple[str, str]
"""(regular expression on a Flax path, replacement)"""

COUNTERS = "*num_batches_tracked"
"""Counters of PyTorch's batch norms, which carry no weight."""

DOUBLE_CONV: tuple[Rule, ...] = (
    (r"conv1/conv/$", "conv.0."),
    (r"conv1/bn/$", "conv.1."),
    (r"conv2/conv/$", "conv.3."),
    (r"conv2/bn/$", "conv.4."),
)
"""`DoubleConv` in the names of U-Net and Joint-Seg."""


class Shapes(dict[str, tuple[int, ...]]):
    """PyTorch's name -> shape; a missing name is a user's mistake."""

    def __missing__(self, name: str) -> tuple[int, ...]:
        raise UserError(f"The checkpoint has no key {name!r}: is it one of this network?")

    def indices(self, pattern: str) -> tuple[int, ...]:
        """Sorted distinct numbers that the pattern's group finds at the start of the names."""
        found = {int(match[1]) for name in self if (match := re.match(pattern, name))}
        return tuple(sorted(found))


def refuse_context_heads(params: Mapping[str, Any]) -> None:
    """Checks that a network other than S2A-Net has no LCEM and GCEM.

    Raises:
        UserError: it has.
    """
    if "heads" in params:
        raise UserError(
            "PyTorch has no names for a network with heads=context, which only this package has."
        )


class Names(NamedTuple):
    """One network's names and shapes in PyTorch.

    Attributes:
        rules: from Flax paths to PyTorch's names, applied in order.
        fields: (shapes, known fields) -> fields of the network; raises a UserError where the shapes
            do not determine them.
        mark: a key that every checkpoint of the network has, and no other network's.
        unused: shell patterns of keys that checkpoints of the network hold although it never uses
            them.
        optional: shell patterns of keys of parts that this package can do without.
        aliases: prefix of a name -> prefixes of copies of the same arrays.
        check: raises a UserError for params that have no names in PyTorch.
    """

    rules: tuple[Rule, ...]
    fields: Callable[[Shapes, Mapping[str, Any]], dict[str, Any]]
    mark: str
    unused: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    aliases: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    check: Callable[[Mapping[str, Any]], None] = refuse_context_heads

    def torch_name(self, path: str) -> str:
        """Applies the rules to a Flax path below its collection; remaining slashes become dots."""
        for pattern, replacement in self.rules:
            path = re.sub(pattern, replacement, path)
        return path.replace("/", ".")

    def is_unused(self, name: str) -> bool:
        """Whether the network never uses a PyTorch name; counters of batch norms are unused."""
        return _fits(name, (COUNTERS, *self.unused))

    def is_optional(self, name: str) -> bool:
        """Whether a PyTorch name belongs to a part that this package can do without."""
        return _fits(name, self.optional)

    def copies(self, name: str) -> list[str]:
        """A PyTorch name, and the names of the copies of its array."""
        for prefix, others in self.aliases.items():
            if name.startswith(prefix):
                return [name, *(name.replace(prefix, other) for other in others)]
        return [name]


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def refuse_other_channels(shapes: Shapes, head: str) -> None:
    """Checks that a head has one output channel for each task, RV and FAZ in this order.

    Args:
        shapes: of the checkpoint.
        head: name of the head's kernel.

    Raises:
        UserError: it has another number.
    """
    channels = shapes[head][0]
    if channels != 2:
        what = "a network of one task (output_ch=1)" if channels == 1 else "another network"
        raise UserError(
            f"Key {head!r} has {channels} output channel{'s' * (channels > 1)}: {what}; expected "
            "2, the first for RV, the second for FAZ. Convert a network of both tasks."
        )
