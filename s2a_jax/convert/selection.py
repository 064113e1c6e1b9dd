"""Finds a network's weights in whatever a checkpoint holds beside them.

Training scripts save weights under many names (`state_dict`, `model`, `net`, `params`), beside an
optimizer and averaged copies, and wrappers put prefixes before the keys (`module.` of DataParallel,
`_orig_mod.` of torch.compile, `model.` of Lightning). None of these names is listed here: one key
that every checkpoint of a network has shows where its weights lie and what was put before them.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from s2a_jax.errors import UserError

_AVERAGE = re.compile(r"(?<![a-z])(ema|swa|average|averaged|avg|shadow|polyak)(?![a-z])")

logger = logging.getLogger(__name__)


class Weights(NamedTuple):
    """One complete set of a network's weights in a checkpoint.

    Attributes:
        container: keys of the nested containers that lead to it.
        prefix: what its keys begin with there, such as `module.`; stripped.
        arrays: the network's name -> tensor or array.
        outside: keys of the same container without the prefix.
        averaged: whether it is an average over training, such as an EMA.
    """

    container: tuple[str, ...]
    prefix: str
    arrays: dict[str, Any]
    outside: tuple[str, ...]
    averaged: bool

    @property
    def label(self) -> str:
        """Where it lies: `state_dict_ema`, or `state_dict.module`; "" at the top level."""
        return ".".join((*self.container, self.prefix)).strip(".")


def find_weights(checkpoint: Any, mark: str) -> list[Weights]:
    """Finds all sets of weights of a network.

    Args:
        checkpoint: nested containers of tensors or arrays.
        mark: a key that every set of weights of the network has.
    """
    found = []
    for container, arrays in _containers(checkpoint, (), set()):
        marked = [name for name in arrays if name == mark or name.endswith("." + mark)]
        # The longest first: at the top level, "" is a prefix of the keys of all others.
        prefixes = sorted((name.removesuffix(mark) for name in marked), key=len, reverse=True)
        parts: dict[str | None, dict[str, Any]] = {}
        for name, array in arrays.items():
            prefix = next((p for p in prefixes if name.startswith(p)), None)
            parts.setdefault(prefix, {})[name.removeprefix(prefix or "")] = array
        outside = tuple(parts.pop(None, ()))
        for prefix, part in parts.items():
            words = re.sub(r"([a-z])([A-Z])", r"\1_\2", ".".join((*container, prefix))).lower()
            averaged = bool(_AVERAGE.search(words)) or "n_averaged" in arrays
            found.append(Weights(container, prefix, part, outside, averaged))
    return found


def choose(found: list[Weights], which: str | None) -> Weights:
    """Chooses one set of weights and logs what a reader of the file should know.

    Args:
        found: at least one.
        which: a part of the label of the one to take; None for the only one, or the only one that
            is no average.

    Raises:
        UserError: `which` names none, or several remain.
    """
    labels = ", ".join(sorted(w.label or "(the top level)" for w in found))
    chosen = [w for w in found if which is None or f".{which}." in f".{w.label}."]
    if not chosen:
        raise UserError(
            f"which={which!r} (--which) names none of the weights in the file: {labels}."
        )
    if len(chosen) > 1:
        chosen = [w for w in chosen if not w.averaged]
    if len(chosen) != 1:
        raise UserError(
            f"The file holds {len(found)} sets of weights: {labels}; choose one with which=NAME "
            "(--which NAME)."
        )
    (weights,) = chosen
    if len(found) > 1:
        logger.warning(
            "The file holds several sets of weights, %s: took %s (--which chooses)",
            labels,
            weights.label or "the top level",
        )
    elif weights.averaged:
        logger.warning("The weights are an average over training (%s)", weights.label or "EMA")
    if weights.prefix:
        logger.warning("Stripped %r from the start of all keys", weights.prefix)
    if weights.outside:
        listed = ", ".join(weights.outside[:3])
        logger.warning(
            "Left out keys outside the network (%d), first %s", len(weights.outside), listed
        )
    return weights


def first_keys(checkpoint: Any, count: int = 3) -> list[str]:
    """The first names of arrays in a checkpoint, for messages."""
    names = [name for _, arrays in _containers(checkpoint, (), set()) for name in arrays]
    return names[:count]


def _containers(
    node: Any, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """All containers that hold arrays: (keys that lead to it, name -> array)."""
    if id(node) in seen:  # under two names, or a container that holds itself
        return
    seen.add(id(node))
    if _is_module(node):
        yield path, dict(_module_arrays(node, ""))
        return
    if isinstance(node, Mapping):
        items = {str(key): value for key, value in node.items()}
    elif isinstance(node, list | tuple):
        items = {str(i): value for i, value in enumerate(node)}
    else:
        return
    if arrays := {key: value for key, value in items.items() if _is_array(value)}:
        yield path, arrays
    for key, value in items.items():
        yield from _containers(value, (*path, key), seen)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _is_module(node: Any) -> bool:
    """Whether an object has the attributes of a `torch.nn.Module`, whatever its class."""
    fields = getattr(node, "__dict__", {})
    parts = ("_parameters", "_buffers", "_modules")
    return all(isinstance(fields.get(part), Mapping) for part in parts)


def _module_arrays(module: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Name -> array of a pickled module, as its `state_dict()` gives them."""
    fields = vars(module)
    temporary = fields.get("_non_persistent_buffers_set", ())
    for name, array in (*fields["_parameters"].items(), *fields["_buffers"].items()):
        if array is not None and name not in temporary:
            yield prefix + name, array
    for name, child in fields["_modules"].items():
        if _is_module(child):  # or None, for a part that a module does without
            yield from _module_arrays(child, f"{prefix}{name}.")
