"""What the program knows of one data set: an entry of the table in `s2a_jax.data.sets`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2a_jax.data.pairing import Listing
from s2a_jax.data.splits import Wanted
from s2a_jax.errors import UserError
from s2a_jax.inputs.slabs import SlabError, check_slabs, slab_names

ListCases = Callable[[str | Path, str | None, str | None, Wanted], Listing]
"""Lists the cases in a folder: (root, subset, slab, wanted) -> listing."""

Pitch = Callable[[str, tuple[int, int]], float | None]
"""Pixel pitch of a case: (id, (height, width) of its file in pixels) -> um; None: unknown."""


def unknown_pitch(_: str, __: tuple[int, int]) -> None:
    """The pitch of files that do not state it."""
    return None


@dataclass(frozen=True)
class Subset:
    """One part of a data set; a run uses one part.

    Attributes:
        size: side of the images in pixels; 0: images of any size, so that `config.data.size` is
            required.
        slabs: name of each slab -> the layer that it shows (superficial, deep or whole), the
            default slab first; empty: one kind of image, without a name; None: slabs are folders
            that the user names.
    """

    size: int = 0
    slabs: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set.

    Attributes:
        name: value of `config.data.name`.
        about: a few words for the help of the commands.
        list_cases: lists the cases in a folder.
        subsets: value of `config.data.subset` -> subset; {None: Subset(...)} without subsets.
        marks: whether a folder looks like this data set, by its name or a folder in it.
        pitch: (subset, folder of the listing or of the prepared data set) -> pitch of its cases.
        prepared_name: turns subset and slab into the folder name of the prepared data set.
        make: for a data set that is made and not read: makes it from the section of `config.data`
            that has its name, the side in pixels and the slabs, and returns its folder.
    """

    name: str
    about: str
    list_cases: ListCases
    subsets: Mapping[str | None, Subset]
    marks: Callable[[Path], bool] = lambda _: False
    pitch: Callable[[str | None, Path], Pitch] = lambda _, __: unknown_pitch
    prepared_name: Callable[[str], str] = str
    make: Callable[[Mapping[str, Any], int, str | None], Path] | None = None

    @property
    def has_subsets(self) -> bool:
        """Whether `config.data.subset` matters."""
        return None not in self.subsets

    def subset(self, subset: str | None) -> Subset:
        """The subset of a name.

        Raises:
            UserError: the data set has no such subset.
        """
        if subset in self.subsets:
            return self.subsets[subset]
        given = " is missing" if subset is None else f"={subset!r}"
        listed = ", ".join(self.subsets) if self.has_subsets else "no subsets; leave it out"
        raise UserError(f"config.data.subset{given}: {self.name} has {listed}.")

    def chosen_slabs(self, subset: str | None, slab: str | None) -> tuple[str, ...]:
        """The slabs that `config.data.slab` chooses; the default slab, if it has a name, for None.

        Raises:
            SlabError: the subset has no such slab.
            UserError: there is no such subset, or `slab` is no list of different names.
        """
        known = self.subset(subset).slabs
        if known is None:
            return slab_names(slab)
        owner = f"{self.name} {subset}" if self.has_subsets else self.name
        if slab is not None and not known:
            raise SlabError(
                f"config.data.slab={slab!r}: {owner} has one kind of image", "leave it out"
            )
        return check_slabs(slab, tuple(known), owner)
