"""Cases whose pixels are decoded when they are needed, and kept while there is room."""

import bisect
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from s2a_jax.data.cases import Case, Cases, CaseSet, Row, resized
from s2a_jax.data.fingerprint import fingerprint
from s2a_jax.errors import UserError
from s2a_jax.inputs.images import unit_pixels
from s2a_jax.inputs.notes import Note
from s2a_jax.inputs.plausibility import MaskFacts

Read = Callable[[int], tuple[str, Case]]
"""Decodes case i of a source at the size of the run; returns its id, too."""


class Room:
    """Memory for decoded cases, which all sets of a run share.

    Nothing is dropped to make room for another case: every pass reads each case once in a new
    order, so the case that was used longest ago is the likeliest to come next.

    Attributes:
        size: bytes in all.
        was_full: whether a case has found no room.
    """

    def __init__(self, size: int):
        self.size, self.was_full = size, False
        self._used, self._lock = 0, threading.Lock()

    def keep(self, kept: dict[int, Row], index: int, row: Row) -> None:
        """Adds a row to `kept`, if there is room for it."""
        with self._lock:
            if index in kept:  # decoded by two threads at once
                return
            if self._used + row.nbytes > self.size:
                self.was_full = True
                return
            self._used += row.nbytes
            kept[index] = row


class Rows:
    """The rows of one source.

    Args:
        read: decodes a case.
        room: where to keep what was decoded.
    """

    def __init__(self, read: Read, room: Room):
        self._read, self._room = read, room
        self._kept: dict[int, Row] = {}

    def survey(self, index: int) -> tuple[str, Case]:
        """Decodes a case for the first time; see `Read`."""
        name, case = self._read(index)
        self._room.keep(self._kept, index, row_of(case))
        return name, case

    def row(self, index: int, digest: str, *, last: bool) -> Row:
        """A row, decoded anew unless it was kept.

        Args:
            index: number of the case in the source.
            digest: its fingerprint when it was surveyed.
            last: whether nobody needs the row after this.

        Raises:
            UserError: the case cannot be read, or is another one now.
        """
        row = self._kept.pop(index, None) if last else self._kept.get(index)
        if row is None:
            name, case = self._read(index)
            if fingerprint(case.image, case.rv, case.faz) != digest:
                raise UserError(
                    f"The pixels or masks of the case {name} have changed since the program "
                    "started, or differ between the machines; start again on data that stay."
                )
            row = row_of(case)
            if not last:
                self._room.keep(self._kept, index, row)
        return row


def row_of(case: Case) -> Row:
    """The arrays of a case; a missing mask is all 0."""
    shape = case.image.shape[:2]
    rv, faz = (
        np.zeros(shape, np.uint8) if mask is None else mask.astype(np.uint8)
        for mask in (case.rv, case.faz)
    )
    return Row(np.ascontiguousarray(case.image), rv, faz)


@dataclass(frozen=True, eq=False)
class LazyCaseSet:
    """N cases of one size, as `CaseSet`, whose pixels are not in memory.

    Attributes:
        ids: N names, in the order of the rows.
        has_rv: bool [N], whether the case has a vessel mask.
        has_faz: bool [N], whether the case has a FAZ mask.
        native_sizes: int32 [N, 2], height and width of the files in (square) pixels.
        digests: fingerprint of each case.
        image_shape: [H, W], or [H, W, C] with C > 1 slabs.
        image_dtype: uint8 if all images are, and float32 otherwise.
        read: (index, last=whether this is the last use) -> row, perhaps uint8 in a float32 set.
        masks: facts about the masks; () once nobody needs them.
        notes: what reading the files had to change or choose.
    """

    ids: tuple[str, ...]
    has_rv: np.ndarray
    has_faz: np.ndarray
    native_sizes: np.ndarray
    digests: tuple[str, ...]
    image_shape: tuple[int, ...]
    image_dtype: np.dtype
    read: Callable[..., Row]
    masks: tuple[MaskFacts, ...] = ()
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows in memory."""
        pixels = int(np.prod(self.image_shape)) * self.image_dtype.itemsize
        return len(self) * (pixels + 2 * int(np.prod(self.image_shape[:2])))

    def row(self, index: int, *, last: bool = False) -> Row:
        """Image and masks of one case; see `Rows.row`."""
        row = self.read(index, last=last)
        if row.image.dtype != self.image_dtype:
            row = row._replace(image=unit_pixels(row.image))
        return row


def no_cases(size: int, slabs: int) -> LazyCaseSet:
    """A set without cases, of images of `size` x `size` pixels."""

    def read(index: int, *, last: bool) -> Row:
        raise IndexError(index)

    return LazyCaseSet(
        ids=(),
        has_rv=np.zeros(0, bool),
        has_faz=np.zeros(0, bool),
        native_sizes=np.zeros((0, 2), np.int32),
        digests=(),
        image_shape=(size, size, slabs) if slabs > 1 else (size, size),
        image_dtype=np.dtype(np.uint8),
        read=read,
    )


def join(sets: Sequence[LazyCaseSet]) -> LazyCaseSet:
    """Joins at least one set, all of one size, in the given order."""
    starts = list(itertools.accumulate((len(cases) for cases in sets), initial=0))

    def read(index: int, *, last: bool) -> Row:
        part = bisect.bisect_right(starts, index) - 1  # the last of those that start here
        return sets[part].read(index - starts[part], last=last)

    return replace(
        sets[0],
        ids=tuple(id_ for cases in sets for id_ in cases.ids),
        has_rv=np.concatenate([cases.has_rv for cases in sets]),
        has_faz=np.concatenate([cases.has_faz for cases in sets]),
        native_sizes=np.concatenate([cases.native_sizes for cases in sets]),
        digests=tuple(digest for cases in sets for digest in cases.digests),
        image_dtype=np.result_type(*(cases.image_dtype for cases in sets)),
        read=read,
        masks=tuple(facts for cases in sets for facts in cases.masks),
        notes=tuple(note for cases in sets for note in cases.notes),
    )


def picked(cases: LazyCaseSet, indices: Sequence[int]) -> LazyCaseSet:
    """The cases with these indices, in this order."""

    def read(index: int, *, last: bool) -> Row:
        return cases.read(indices[index], last=last)

    indices = [int(index) for index in indices]
    return replace(
        cases,
        ids=tuple(cases.ids[i] for i in indices),
        has_rv=cases.has_rv[indices],
        has_faz=cases.has_faz[indices],
        native_sizes=cases.native_sizes[indices],
        digests=tuple(cases.digests[i] for i in indices),
        read=read,
        masks=tuple(cases.masks[i] for i in indices),
    )


def resize_cases(cases: Cases, side: int) -> LazyCaseSet:
    """The cases at `side` x `side` pixels, another size than theirs; resized at every use."""

    def read(index: int, *, last: bool) -> Row:
        image, rv, faz = cases.row(index)
        return row_of(resized(Case(image, rv > 0, faz > 0, image.shape[:2]), side))

    return LazyCaseSet(
        cases.ids,
        cases.has_rv,
        cases.has_faz,
        cases.native_sizes,
        cases.digests,
        image_shape=(side, side, *cases.image_shape[2:]),
        image_dtype=np.dtype(np.float32),
        read=read,
    )


def in_memory(cases: LazyCaseSet) -> CaseSet:
    """The same cases as arrays; their rows are not kept a second time."""
    shape = (len(cases), *cases.image_shape)
    images = np.empty(shape, cases.image_dtype)
    rv, faz = (np.empty(shape[:3], np.uint8) for _ in range(2))
    for index in range(len(cases)):
        images[index], rv[index], faz[index] = cases.row(index, last=True)
    return CaseSet(
        cases.ids,
        images,
        rv,
        faz,
        cases.has_rv,
        cases.has_faz,
        cases.native_sizes,
        cases.notes,
        cases.digests,
    )
