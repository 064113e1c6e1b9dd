"""One split of a data set in any known layout, every case at its own size, for evaluation."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2a_jax.data.cases import Case, check_combined, read_case, resized
from s2a_jax.data.entry import DataSet, Pitch
from s2a_jax.data.layouts import NotRecognisedError, existing_folder
from s2a_jax.data.pairing import Listing
from s2a_jax.data.rows import LazyCaseSet, Room, join
from s2a_jax.data.sets import DATA_SETS, PREPARED, find_data_set, own_names, recognise
from s2a_jax.data.splits import ALL, SPLITS, Wanted
from s2a_jax.data.survey import Share, survey
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import child_folder, fold_name
from s2a_jax.inputs.notes import note_lines
from s2a_jax.inputs.plausibility import doubt_lines
from s2a_jax.inputs.slabs import SlabError, slab_names

_ROOM = 4 * 2**30  # bytes of decoded cases, as the default of config.data.cache_gib
_HELP = "Give --data=DIR, a data set in one of the layouts that data/README.md describes."


@dataclass(frozen=True, eq=False)
class Selection:
    """Cases to evaluate.

    Attributes:
        ids: names of the cases.
        cases: images and masks at their native sizes; a missing mask is None. A case that found no
            room in memory is decoded when it is used.
        sizes: height and width of each case.
        um_per_px: pixel pitch of each case at its native size, um; None: unknown.
        tasks: "rv", "faz" or both, of which any case has a mask.
        notes: sentences to print: the layout, missing masks, doubtful masks.
    """

    ids: tuple[str, ...]
    cases: Sequence[Case]
    sizes: tuple[tuple[int, int], ...]
    um_per_px: tuple[float | None, ...]
    tasks: tuple[str, ...]
    notes: tuple[str, ...]


class _NativeCases(Sequence):
    """The first `count` of surveyed cases at their native sizes."""

    def __init__(self, cases: LazyCaseSet, count: int):
        self._cases, self._count = cases, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Case:
        if not 0 <= index < self._count:
            raise IndexError(index)
        image, rv, faz = self._cases.read(index, last=False)
        return Case(
            image,
            rv > 0 if self._cases.has_rv[index] else None,
            faz > 0 if self._cases.has_faz[index] else None,
            image.shape[:2],
        )


def select_cases(
    root: Path,
    split: str,
    name: str | None = None,
    subset: str | None = None,
    slab: str | None = None,
    limit: int | None = None,
    skip_incomplete: bool = False,
    takes_own_names: bool = False,
) -> Selection:
    """Reads one split of a data set once, and keeps as many cases as fit into memory.

    Args:
        root: the data set's folder.
        split: "train", "val", "test", the name of another split folder, or "all".
        name: name of a data set that is read, or "prepared"; None: what the folder looks like.
        subset: as `config.data.subset`; None: the only one in the folder.
        slab: as `config.data.slab`.
        limit: take the first cases only.
        skip_incomplete: leave out cases that lack one of several slabs, instead of raising.
        takes_own_names: `slab` may have the names of another data set; a note states this one's.

    Raises:
        SlabError: the data set lacks a slab.
        UserError: nothing or several data sets are recognised, the split has no case, or a file
            cannot be read.
    """
    root = existing_folder(root, _HELP)
    wanted = Wanted(split, skip_incomplete=skip_incomplete)
    if name is None and any(root.rglob("dataset_info.json")):
        name = PREPARED

    def own_slab(known: Iterable[str]) -> str | None:
        return own_names(slab, known) if takes_own_names else slab

    if name == PREPARED:
        return _prepared(root, split, limit, subset, slab, own_slab)
    data_set = recognise(root, subset) if name is None else find_data_set(name)
    listing, subset = _list(root, data_set, subset, own_slab, wanted)
    unique = _unique([file.id for file in listing.cases], [file.split for file in listing.cases])
    files = listing.cases[:limit]

    def read(index: int) -> tuple[str, Case]:
        return files[index].id, resized(read_case(files[index]), None)

    cases = survey(read, len(files), 0, Room(_ROOM), Share())
    check_combined(files, [bool(facts.faz_share) for facts in cases.masks])
    chosen = own_slab(data_set.subset(subset).slabs or ())
    notes = (f"{listing.layout}.", *_renamed(slab, chosen), *listing.notes)
    pitch = data_set.pitch(subset, listing.folder)
    return _selection(listing.folder, split, listing.splits, unique, cases, limit, pitch, notes)


def _renamed(slab: str | None, own: str | None) -> list[str]:
    return [f"{own} of this data set stands for {slab}."] if own != slab else []


def _list(
    root: Path,
    data_set: DataSet,
    subset: str | None,
    own_slab: Callable[[Iterable[str]], str | None],
    wanted: Wanted,
) -> tuple[Listing, str | None]:
    """The listing, and its subset."""

    def cases_of(subset: str | None) -> Listing:
        slab = own_slab(data_set.subset(subset).slabs or ())
        return data_set.list_cases(root, subset, slab, wanted)

    if subset is not None or not data_set.has_subsets:
        return cases_of(subset), subset
    found: dict[str, Listing] = {}
    errors: dict[str, UserError] = {}
    for candidate in data_set.subsets:
        try:
            found[candidate] = cases_of(candidate)
        except UserError as error:
            errors[candidate] = error
    if not found:
        raise _most_helpful(root, data_set.name, errors)
    # Readings that give the same cases, with slabs of the same names, need no choice.
    slabs = {own_slab(data_set.subset(one).slabs or ()) for one in found}
    cases = {listing.cases for listing in found.values()}
    if len(cases) > 1 or len(slabs) > 1:
        raise UserError(
            f"{root} may hold the subsets {', '.join(found)} of {data_set.name}; choose one with "
            "--subset."
        )
    return next(iter(found.values())), next(iter(found))


def _most_helpful(root: Path, name: str, errors: dict[str, UserError]) -> UserError:
    """The error of the subset that the folder most likely holds.

    Args:
        root: the folder.
        name: name of the data set.
        errors: subset -> the reason why it cannot be read.
    """
    there = [one for one, error in errors.items() if not isinstance(error, NotRecognisedError)]
    slabs = [one for one in there if isinstance(errors[one], SlabError)]
    named = [
        one
        for one in errors
        if child_folder(root, f"{name}-{one}", one)
        or fold_name(root.name) in (fold_name(name + one), fold_name(one))
    ]
    candidates = [one for one in there if one not in slabs or one in named] or named or there
    chosen = next(iter(candidates), next(iter(errors)))
    if isinstance(errors[chosen], SlabError):
        return errors[chosen]
    return UserError(
        f"No subset of {name} can be read in {root}; looked for {', '.join(errors)}. Of {chosen}: "
        f"{errors[chosen]}"
    )


def _prepared(
    root: Path,
    split: str,
    limit: int | None,
    subset: str | None,
    slab: str | None,
    own_slab: Callable[[Iterable[str]], str | None],
) -> Selection:
    # Imported here: TFDS takes half a second to import, and most evaluations read raw folders.
    from s2a_jax.data.prepared.load import (
        find_prepared,
        prepared_origin,
        prepared_pitch,
        prepared_reader,
        prepared_slabs,
    )

    if subset is not None:
        raise UserError(
            f"--subset: {root} is a prepared data set, which has one subset; leave the flag out, "
            "and pass the folder of the data set to use."
        )
    folder = find_prepared(root)
    notes = [f"Prepared data set {folder}"]
    if slab is not None:
        name, origin = prepared_origin(folder)
        default = tuple(DATA_SETS[name].subset(origin).slabs or ())[:1]
        names = prepared_slabs(folder) or default
        chosen = own_slab(names)
        _check_prepared_slabs(folder, slab_names(chosen), names)
        notes += _renamed(slab, chosen)
    room, parts, splits = Room(_ROOM), [], []
    for one in SPLITS if split == ALL else (split,):
        read, count = prepared_reader(folder, one, None)
        # TFDS shuffles what it writes.
        parts.append(survey(read, count, 0, room, Share(), sort=True))
        splits += [one] * count
    cases = join(parts)
    ids = _unique(cases.ids, splits)
    pitch = prepared_pitch(folder)
    return _selection(root, split, SPLITS, ids, cases, limit, pitch, tuple(notes))


def _check_prepared_slabs(folder: Path, wanted: tuple[str, ...], names: tuple[str, ...]) -> None:
    if wanted != names:
        raise SlabError(
            f"{folder} was prepared with {','.join(names) or 'one slab without a name'}, not "
            f"{','.join(wanted)}",
            f"prepare it with --slab {shlex.quote(','.join(wanted))}, or choose the slabs that it "
            "has",
        )


def _selection(
    root: Path,
    split: str,
    known: Sequence[str],
    ids: Sequence[str],
    cases: LazyCaseSet,
    limit: int | None,
    pitch: Pitch,
    notes: tuple[str, ...],
) -> Selection:
    """The selection of the first cases; `ids` has unique names for at least those."""
    if not len(cases):
        others = [one for one in known if one != split]
        remedy = f"choose another --split ({', '.join((*others, ALL))})" if others else "add some"
        raise UserError(f"{root} has no {split} cases with a mask; {remedy}.")
    chosen = _NativeCases(cases, min(len(cases), limit or len(cases)))
    sizes = tuple((int(height), int(width)) for height, width in cases.native_sizes[: len(chosen)])
    pitches = tuple(pitch(name, size) for name, size in zip(cases.ids, sizes, strict=False))
    names = tuple(ids[: len(chosen)])
    doubts = doubt_lines(zip(names, cases.masks, strict=False))
    has = {"rv": cases.has_rv, "faz": cases.has_faz}
    tasks = tuple(task for task, each in has.items() if each[: len(chosen)].any())
    notes = (*notes, *note_lines(cases.notes), *doubts)
    return Selection(names, chosen, sizes, pitches, tasks, notes)


def _unique(ids: Sequence[str], splits: Sequence[str]) -> list[str]:
    """The ids; those that occur in several splits get the split as a prefix."""
    counts = Counter(ids)
    return [
        name if counts[name] == 1 else f"{split}-{name}"
        for name, split in zip(ids, splits, strict=True)
    ]
