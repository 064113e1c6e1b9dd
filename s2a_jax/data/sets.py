"""The table of data sets, and look-ups in all of it.

To add a data set, write a file with its entry, as `rose` is, and add the entry here.
"""

from collections.abc import Iterable
from pathlib import Path

from s2a_jax.data.entry import DataSet
from s2a_jax.data.folder import FOLDER
from s2a_jax.data.layouts import levels
from s2a_jax.data.octa500 import OCTA500
from s2a_jax.data.rose import ROSE
from s2a_jax.data.synthetic import SYNTHETIC, SYNTHETIC_SLABS
from s2a_jax.errors import UserError
from s2a_jax.inputs.slabs import slab_names

DATA_SETS = {one.name: one for one in (OCTA500, ROSE, FOLDER, SYNTHETIC)}
"""Value of `config.data.name` -> data set."""

PREPARED = "prepared"
"""Value of `config.data.name` for any of them once the `prepare` command has stored it."""


def find_data_set(name: str) -> DataSet:
    """The data set of a name.

    Raises:
        UserError: there is none.
    """
    if name not in DATA_SETS:
        expected = ", ".join((*DATA_SETS, PREPARED))
        raise UserError(f"config.data.name={name!r}: expected one of {expected}.")
    return DATA_SETS[name]


def recognise(root: Path, subset: str | None) -> DataSet:
    """The data set that a folder holds, by the given subset or its marks; else a user's folder."""
    by_subset = (one for one in DATA_SETS.values() if one.has_subsets and subset in one.subsets)
    if (data_set := next(by_subset, None)) is not None:
        return data_set
    for level in levels(root):
        for data_set in DATA_SETS.values():
            if any(data_set.marks(folder) for folder in level):
                return data_set
    return FOLDER


def help_on_names(names: Iterable[str] = DATA_SETS) -> str:
    """What each name stands for, for the help of a command."""
    return ", ".join(f"{name} ({DATA_SETS[name].about})" for name in names)


def help_on_subsets() -> str:
    """The subsets of each data set, for the help of a command."""
    parts = []
    for data_set in DATA_SETS.values():
        if data_set.has_subsets:
            *others, last = data_set.subsets
            parts.append(f"of {data_set.name}: {', '.join(others)} or {last}")
    return "; ".join(parts)


def layer_of(slab: str) -> str:
    """The layer that a slab of any data set shows, a synthetic slab; other names stay."""
    return _layers().get(slab, slab)


def own_names(slab: str | None, known: Iterable[str]) -> str | None:
    """Translates `config.data.slab` into the names that a data set has for the same layers.

    Args:
        slab: names of slabs of any data set; None stays.
        known: the slabs of this data set. A name without a counterpart stays.

    Raises:
        UserError: `slab` is no list of different names.
    """
    known = tuple(known)
    own = {layer_of(name): name for name in known}
    names = (one if one in known else own.get(layer_of(one), one) for one in slab_names(slab))
    return ",".join(names) or None


def synthetic_slabs(slab: str | None) -> tuple[str, ...]:
    """The synthetic slab for each name in `config.data.slab`; the superficial one for None.

    Raises:
        UserError: no synthetic slab stands for a name.
    """
    names = slab_names(slab)
    for name in names:
        if layer_of(name) not in SYNTHETIC_SLABS:
            others = ", ".join(name for name in _layers() if name not in SYNTHETIC_SLABS)
            raise UserError(
                f"config.data.slab={name!r}: synthetic eyes have {', '.join(SYNTHETIC_SLABS)}, "
                f"which stand for {others}; no other slab can be made."
            )
    return tuple(map(layer_of, names)) or SYNTHETIC_SLABS[:1]


def _layers() -> dict[str, str]:
    subsets = (subset for data_set in DATA_SETS.values() for subset in data_set.subsets.values())
    return {slab: layer for subset in subsets for slab, layer in (subset.slabs or {}).items()}
