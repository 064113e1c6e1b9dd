"""What every network's table of names needs: PyTorch's shapes, and names by regular expressions."""

import re
from collections.abc import Iterable

from s2a_jax.errors import UserError

Rule = tuple[str, str]
"""(regular expression on a Flax path, replacement)"""

NUM_BATCHES = r".*num_batches_tracked$"
"""Counters of PyTorch's batch norms, which carry no weight."""

DOUBLE_CONV: tuple[Rule, ...] = (
    (r"conv1/conv/$", "conv.0."),
    (r"conv1/bn/$", "conv.1."),
    (r"conv2/conv/$", "conv.3."),
    (r"conv2/bn/$", "conv.4."),
)
"""`DoubleConv` in the names of U-Net and Joint-Seg."""


class Shapes(dict[str, tuple[int, ...]]):
    """PyTorch's name -> shape; a name that is not there is a user's mistake."""

    def __missing__(self, name: str) -> tuple[int, ...]:
        raise UserError(f"The checkpoint has no key {name!r}: is it one of this network?")

    def indices(self, pattern: str) -> tuple[int, ...]:
        """Sorted distinct numbers that the pattern's group finds at the start of the names."""
        found = {int(match[1]) for name in self if (match := re.match(pattern, name))}
        return tuple(sorted(found))


def rename(path: str, rules: Iterable[Rule]) -> str:
    """Applies all rules in order; what is left of the slashes becomes dots."""
    for pattern, replacement in rules:
        path = re.sub(pattern, replacement, path)
    return path.replace("/", ".")
