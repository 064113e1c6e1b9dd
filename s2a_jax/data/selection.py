"""One split of a data set in any known layout, every case at its own size, to be evaluated."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from s2a_jax.data.cases import Case, read_cases
from s2a_jax.data.folder import list_user_folder
from s2a_jax.data.layouts import NotRecognisedError, existing_folder
from s2a_jax.data.octa500 import OCTA500_IDS, OCTA500_SLABS, list_octa500
from s2a_jax.data.pairing import SPLITS, Listing
from s2a_jax.data.pitch import Pitch, prepared_pitch, raw_pitch
from s2a_jax.data.rose import ROSE_SIZES, ROSE_SLABS, list_rose
from s2a_jax.data.synthetic_slabs import SYNTHETIC_SLABS, own_names
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import child_folder, fold_name, folders_in
from s2a_jax.inputs.slabs import SlabError, slab_names

NAMES = ("octa500", "rose", "folder", "prepared")
_HELP = "Give --data=DIR, a data set in one of the layouts that data/README.md tells."
_DEPTH = 2  # how far below the given folder a release of OCTA-500 may lie


@dataclass(frozen=True, eq=False)
class Selection:
    """Cases to evaluate, in memory.

    Attributes:
      ids: their names.
      cases: images and masks at their native sizes; a mask that is missing is None.
      um_per_px: side of a pixel of each case at its native size, um; None: unknown.
      notes: sentences to print: the layout, missing masks.
    """

    ids: tuple[str, ...]
    cases: tuple[Case, ...]
    um_per_px: tuple[float | None, ...]
    notes: tuple[str, ...]


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
    """Reads one split of a data set.

    Args:
      root: the data set's folder.
      split: "train", "val", "test", or "all".
      name: one of `NAMES`; None: what the folder looks like.
      subset: of octa500 ("3M", "6M") or rose ("1", "2", "O", "Z", "H"); None: the only one there.
      slab: as `config.data.slab`.
      limit: take the first cases only.
      skip_incomplete: leave out cases that lack one of several slabs, instead of raising.
      takes_own_names: `slab` may have the names of another data set; a note tells its own ones.

    Raises:
      SlabError: the data set lacks a slab.
      UserError: nothing recognised, several data sets, no case in the split, or a file that cannot
        be read.
    """
    root = existing_folder(root, _HELP)
    name = name or _recognise(root, subset)

    def own_slab(known: Sequence[str]) -> str | None:
        return own_names(slab, known) if takes_own_names else slab

    if name == "prepared":
        return _prepared(root, split, limit, subset, slab, own_slab)
    listing, subset = _list(root, name, subset, own_slab, skip_incomplete)
    files = [case for case in listing.cases if split in (case.split, "all")]
    pairs = [(file.id, case) for file, case in zip(files, read_cases(files[:limit]), strict=False)]
    splits = [file.split for file in files]
    unique = _unique([file.id for file in files], splits)
    chosen = own_slab(_slabs_of(name, subset))
    notes = (f"{listing.layout} in {root}", *_renamed(slab, chosen), *listing.notes)
    return _selection(root, split, unique, pairs, raw_pitch(name, subset, root), notes)


def _recognise(root: Path, subset: str | None) -> str:
    """The data set's name, by its folders and the subset that is asked for."""
    if any(root.rglob("dataset_info.json")):
        return "prepared"
    if subset in OCTA500_IDS:
        return "octa500"
    if subset in ROSE_SIZES:
        return "rose"
    level = [root]
    for _ in range(_DEPTH + 1):
        if any(child_folder(folder, "Projection Maps") for folder in level):
            return "octa500"
        if any(fold_name(folder.name).startswith("rose") for folder in level):
            return "rose"
        level = [child for folder in level for child in folders_in(folder)]
    return "folder"


def _slabs_of(name: str, subset: str | None) -> Sequence[str]:
    """The slabs of a data set, the first of which is the default; none where none has a name."""
    return {
        "octa500": OCTA500_SLABS,
        "rose": ROSE_SLABS.get(subset or "", ()),
        "synthetic": SYNTHETIC_SLABS,
    }.get(name, ())


def _renamed(slab: str | None, own: str | None) -> list[str]:
    return [f"{own} of this data set stands for {slab}."] if own != slab else []


def _list(
    root: Path,
    name: str,
    subset: str | None,
    own_slab: Callable[[Sequence[str]], str | None],
    skip_incomplete: bool,
) -> tuple[Listing, str | None]:
    """The listing, and the subset that it is of."""
    if name == "folder":
        if subset is not None:
            raise UserError(f"--subset: {root} is a folder without subsets; leave it out.")
        return list_user_folder(root, own_slab(()), skip_incomplete), None
    find, known = {
        "octa500": (list_octa500, OCTA500_IDS),
        "rose": (list_rose, ROSE_SIZES),
    }[name]
    if subset is not None:
        slab = own_slab(_slabs_of(name, subset))
        return find(root, subset, slab, skip_incomplete), subset
    found: dict[str, Listing] = {}
    errors: dict[str, UserError] = {}
    for candidate in known:
        try:
            slab = own_slab(_slabs_of(name, candidate))
            found[candidate] = find(root, candidate, slab, skip_incomplete)
        except UserError as error:
            errors[candidate] = error
    if not found:
        raise _telling(root, name, errors)
    if len(found) > 1:
        raise UserError(
            f"{root} may hold the subsets {', '.join(found)} of {name}; choose one with --subset."
        )
    return next(iter(found.values())), next(iter(found))


def _telling(root: Path, name: str, errors: dict[str, UserError]) -> UserError:
    """Of why each subset cannot be read, the reason to tell: of one that seems to be there."""
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
    wanted: str | None,
    slab: str | None,
    own_slab: Callable[[Sequence[str]], str | None],
) -> Selection:
    # Only now: TFDS takes a moment to import.
    from s2a_jax.data.prepared.load import find_prepared, prepared_cases

    if wanted is not None:
        raise UserError(
            f"--subset: {root} is a prepared data set, which has one; leave it out, and pass the "
            "folder of the one to use."
        )
    folder = find_prepared(root)
    notes = [f"Prepared data set {folder}"]
    if slab is not None:
        names = _prepared_slabs(folder)
        chosen = own_slab(names)
        _check_prepared_slabs(folder, slab_names(chosen), names)
        notes += _renamed(slab, chosen)
    pairs, splits = [], []
    for one in SPLITS if split == "all" else (split,):
        found = prepared_cases(folder, one)
        pairs += found
        splits += [one] * len(found)
    ids = _unique([name for name, _ in pairs], splits)
    return _selection(root, split, ids, pairs[:limit], prepared_pitch(folder), tuple(notes))


def _prepared_slabs(folder: Path) -> tuple[str, ...]:
    """The slabs that a data set was prepared with; none if it has one without a name."""
    from s2a_jax.data.prepared.load import prepared_origin, prepared_slabs

    return prepared_slabs(folder) or tuple(_slabs_of(*prepared_origin(folder))[:1])


def _check_prepared_slabs(folder: Path, wanted: tuple[str, ...], names: tuple[str, ...]) -> None:
    if wanted != names:
        raise SlabError(
            f"{folder} was prepared with {','.join(names) or 'one slab without a name'}, not "
            f"{','.join(wanted)}",
            f"prepare it with --slab {','.join(wanted)}, or choose what it has",
        )


def _selection(
    root: Path,
    split: str,
    ids: Sequence[str],
    pairs: Sequence[tuple[str, Case]],
    pitch: Pitch,
    notes: tuple[str, ...],
) -> Selection:
    """The cases, each with its name in the data set; `ids` are those and more of them, unique."""
    if not pairs:
        raise UserError(
            f"{root} has no {split} cases with a mask; choose another --split "
            f"({', '.join((*SPLITS, 'all'))})."
        )
    pitches = tuple(pitch(name, case.native_size) for name, case in pairs)
    cases = tuple(case for _, case in pairs)
    return Selection(tuple(ids[: len(cases)]), cases, pitches, notes)


def _unique(ids: Sequence[str], splits: Sequence[str]) -> list[str]:
    """The names, with the split before those that occur in several."""
    counts = Counter(ids)
    return [
        name if counts[name] == 1 else f"{split}-{name}"
        for name, split in zip(ids, splits, strict=True)
    ]
