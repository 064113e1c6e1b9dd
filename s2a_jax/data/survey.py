"""The first pass over the cases of a run: it decodes each once, and keeps small facts only.

Several processes share the pass: each decodes a contiguous part, and they exchange the facts.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import grain
import numpy as np

from s2a_jax.data.cases import with_progress
from s2a_jax.data.doubts import case_facts
from s2a_jax.data.fingerprint import fingerprint
from s2a_jax.data.rows import LazyCaseSet, Read, Room, Row, Rows
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import id_key
from s2a_jax.inputs.notes import Note
from s2a_jax.inputs.plausibility import MaskFacts

_THREADS = grain.ReadOptions(num_threads=4, prefetch_buffer_size=16)

Exchange = Callable[[Callable[[], list[str]]], list[list[str]]]
"""Does the work of this process, and returns the lines that the work of each process returned."""


@dataclass(frozen=True)
class Share:
    """The part of this process in a pass over all cases.

    Attributes:
        index: which of the processes this is.
        count: number of processes.
        exchange: see `Exchange`; a UserError in the work of one process must reach all.
    """

    index: int = 0
    count: int = 1
    exchange: Exchange = lambda work: [work()]


class Facts(NamedTuple):
    """What is kept of one decoded case.

    Attributes:
        id: name of the case.
        native_size: height and width of the files in (square) pixels.
        slabs: number of slabs.
        is_float: whether the image is float32, not uint8.
        digest: fingerprint of image and masks.
        masks: facts about the masks.
        notes: what reading its files had to change or choose.
    """

    id: str
    native_size: tuple[int, int]
    slabs: int
    is_float: bool
    digest: str
    masks: MaskFacts
    notes: tuple[Note, ...]


def survey(
    read: Read,
    count: int,
    size: int,
    room: Room,
    share: Share,
    *,
    listing: str = "",
    sort: bool = False,
) -> LazyCaseSet:
    """Decodes every case once, on one of the processes.

    A bar on standard error shows the progress if this takes long.

    Args:
        read: decodes a case of the source.
        count: number of cases.
        size: side of the images in pixels; 0: each has its own, and so have the rows that the set's
            `read` returns.
        room: where rows are kept.
        share: the part of this process.
        listing: what `read` reads, as `listing_digest`, which all processes must agree on.
        sort: whether to sort the cases by their ids.

    Raises:
        UserError: a case cannot be read, or the processes see different data.
    """
    rows = Rows(read, room)

    def examine(index: int) -> Facts:
        name, case = rows.survey(index)
        return Facts(
            name,
            tuple(map(int, case.native_size)),
            1 if case.image.ndim == 2 else case.image.shape[2],
            case.image.dtype != np.uint8,
            fingerprint(case.image, case.rv, case.faz),
            case_facts(case),
            case.notes,
        )

    def work() -> list[Facts]:
        first, stop = (count * i // share.count for i in (share.index, share.index + 1))
        if first == stop:
            return []
        found = grain.MapDataset.range(first, stop).map(examine).to_iter_dataset(_THREADS)
        return list(with_progress(found, total=stop - first))

    facts = work() if share.count == 1 else _exchanged(work, count, listing, share)
    order = range(count)
    if sort:
        order = sorted(order, key=lambda index: id_key(facts[index].id))
        facts = [facts[index] for index in order]
    return _case_set(facts, order, rows, size)


def _case_set(facts: Sequence[Facts], order: Sequence[int], rows: Rows, size: int) -> LazyCaseSet:
    """The set of surveyed cases; `order` has their numbers in the source."""
    slabs = facts[0].slabs if facts else 1
    digests = tuple(case.digest for case in facts)

    def read(index: int, *, last: bool) -> Row:
        return rows.row(order[index], digests[index], last=last)

    return LazyCaseSet(
        ids=tuple(case.id for case in facts),
        has_rv=np.array([case.masks.rv_share is not None for case in facts], bool),
        has_faz=np.array([case.masks.faz_share is not None for case in facts], bool),
        native_sizes=np.array([case.native_size for case in facts], np.int32).reshape(-1, 2),
        digests=digests,
        image_shape=(size, size, slabs) if slabs > 1 else (size, size),
        image_dtype=np.dtype(np.float32 if any(case.is_float for case in facts) else np.uint8),
        read=read,
        masks=tuple(case.masks for case in facts),
        notes=tuple(note for case in facts for note in case.notes),
    )


def listing_digest(names: Iterable[str]) -> str:
    """A short hash of the names of all files that are read, in their order."""
    digest = blake2b(digest_size=8)
    for name in names:
        digest.update(name.encode() + b"\0")
    return digest.hexdigest()


def _exchanged(
    work: Callable[[], list[Facts]], count: int, listing: str, share: Share
) -> list[Facts]:
    """The facts about all cases, from the work of all processes."""
    # Before the work: a process that lacks a file would only say that it cannot read it.
    heads = [head.split() for (head,) in share.exchange(lambda: [f"{count} {listing or '-'}"])]
    counts, listings = ([head[i] for head in heads] for i in range(2))
    if len(set(counts)) > 1:
        raise UserError(
            f"The processes see different data: {', '.join(counts)} cases; the data set must be "
            "the same for all."
        )
    if len(set(listings)) > 1:
        other = next(i for i, one in enumerate(listings) if one != listings[0])
        raise UserError(
            f"The processes see different data: of {count} cases each, processes 0 and {other} "
            "read other files; the data set must be the same for all."
        )
    lines = share.exchange(lambda: [*map(_to_line, work())])
    return [_from_line(line) for own in lines for line in own]


def _to_line(case: Facts) -> str:
    masks = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in asdict(case.masks).items()
    }
    notes = [[str(note.path), note.text] for note in case.notes]
    return json.dumps([*case._replace(masks=masks, notes=notes)])


def _from_line(line: str) -> Facts:
    case = Facts(*json.loads(line))
    masks = {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in case.masks.items()
    }
    return case._replace(
        native_size=tuple(case.native_size),
        masks=MaskFacts(**masks),
        notes=tuple(Note(Path(path), text) for path, text in case.notes),
    )
