"""Batches from decoded cases: an endless training stream and padded evaluation batches."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import grain
import numpy as np

from s2a_jax.data.cases import Cases
from s2a_jax.data.synthesis.stream import EyesAhead
from s2a_jax.data.synthetic_source import EyeSource
from s2a_jax.inputs.images import unit_pixels

Batch = dict[str, np.ndarray]
"""`image` [B, S, S] or, with C > 1 slabs, [B, S, S, C]; `rv`, `faz` uint8 [B, S, S]; `has_rv`,
`has_faz` float32 [B]."""

_ENDLESS = 2**40  # steps


class TrainStream:
    """Endless training batches; batch k depends on the seed and k alone.

    Each source is shuffled anew in each of its passes, and cases are drawn from the sources in the
    ratio of their weights. A process reads its contiguous part of each batch, so that the global
    batch, and with it what augmentation and dropout do to a row, is the same for any number of
    processes.

    Args:
        cases: all cases, source after source.
        sources: name -> its range of indices into `cases` and its weight > 0.
        batch_size: cases in a global batch.
        seed: seed of the order.
        process_index: which of the processes this is.
        process_count: number of processes.
        eyes: the source of streamed eyes, whose indices follow those of `cases`, if there is one.
    """

    def __init__(
        self,
        cases: Cases,
        sources: Mapping[str, tuple[range, float]],
        batch_size: int,
        seed: int,
        process_index: int = 0,
        process_count: int = 1,
        eyes: EyeSource | None = None,
    ):
        self._cases, self._eyes = cases, eyes
        self._ahead: EyesAhead | None = None
        self._ranges = {name: part for name, (part, _) in sources.items()}
        self._global_batch_size = batch_size
        streams = [_shuffled(part, seed + i) for i, (part, _) in enumerate(sources.values())]
        weights = [weight for _, weight in sources.values()]
        self._order = streams[0] if len(streams) == 1 else grain.MapDataset.mix(streams, weights)
        self._rows = batch_size // process_count
        self._first_row = process_index * self._rows

    def starting_at(self, step: int) -> Iterator[Batch]:
        """Batches `step`, `step + 1`, ..., made ahead by two threads, or with eyes by processes."""
        if self._eyes is not None:
            return self._with_eyes(step)
        batches = grain.MapDataset.range(_ENDLESS).map(self._read)
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
        iterator = iter(batches.to_iter_dataset(options))
        iterator.set_state({"next_index": step})
        return iterator

    def ids(self, step: int) -> list[str]:
        """Names of the cases in the global batch of `step`."""
        known = len(self._cases)
        return [
            self._cases.ids[index] if index < known else self._eyes.name(index - known, pass_)
            for index, pass_ in self._picks(step)
        ]

    def source_counts(self, first: int, last: int) -> dict[str, int]:
        """Cases of each source in the global batches of steps `first` to `last` - 1."""
        indices = [index for step in range(first, last) for index, _ in self._picks(step)]
        return {
            name: sum(index in part for index in indices) for name, part in self._ranges.items()
        }

    def eye_speed(self) -> dict[str, float]:
        """Speed of the newest `starting_at` at making eyes; empty without streamed eyes.

        Returns:
            `eyes_per_second` that the processes can make, and `waiting_for_eyes`, the share of the
            time since the last call in which a batch waited for eyes.
        """
        if self._ahead is None:
            return {}
        share = self._ahead.share_waited()
        return {"eyes_per_second": self._ahead.per_second, "waiting_for_eyes": share}

    def _read(self, step: int) -> Batch:
        return _stacked([record(self._cases, index) for index, _ in self._mine(step)])

    def _with_eyes(self, step: int) -> Iterator[Batch]:
        known = len(self._cases)
        order = (pick for later in itertools.count(step) for pick in self._mine(later))
        picks = ((index - known, pass_) for index, pass_ in order)
        with self._eyes.ahead(picks, extra=2 * self._rows) as self._ahead:
            for later in itertools.count(step):
                batch = _stacked([self._record(*pick) for pick in self._mine(later)])
                if later == step:
                    self._ahead.share_waited()  # the first eyes do not count
                yield batch

    def _record(self, index: int, pass_: int) -> Batch:
        number = index - len(self._cases)
        if number < 0:
            return record(self._cases, index)
        row = record(self._eyes.case(number, pass_, next(self._ahead)), 0)
        if self._cases.image_dtype == np.float32:  # those of another source
            row["image"] = unit_pixels(row["image"])
        return row

    def _mine(self, step: int) -> list[tuple[int, int]]:
        """(index, pass) of this process's rows of a batch."""
        return self._picks(step, range(self._first_row, self._first_row + self._rows))

    def _picks(self, step: int, rows: range | None = None) -> list[tuple[int, int]]:
        """(index, pass) of some rows of a global batch; of all by default."""
        first = step * self._global_batch_size
        return [self._order[first + row] for row in rows or range(self._global_batch_size)]


def _shuffled(part: range, seed: int) -> grain.MapDataset:
    """Endless passes over `part`, each in its own order, as (index, number of the pass)."""
    passes = grain.MapDataset.range(part.start, part.stop).seed(seed).shuffle().repeat(None)
    return passes.map_with_index(lambda position, index: (index, position // len(part)))


def _stacked(rows: Sequence[Batch]) -> Batch:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def record(cases: Cases, index: int) -> Batch:
    """One case as the dict that batches are stacked from."""
    image, rv, faz = cases.row(index)
    return {
        "image": image,
        "rv": rv,
        "faz": faz,
        "has_rv": np.float32(cases.has_rv[index]),
        "has_faz": np.float32(cases.has_faz[index]),
    }


def evaluation_batches(
    cases: Cases, batch_size: int, process_index: int = 0, process_count: int = 1
) -> Iterator[tuple[slice, Batch]]:
    """Every case once, in order; copies of the last case fill the last batch.

    Yields:
        The slice of `cases` in the global batch, without the copies, and this process's rows of
        the batch.
    """
    rows = batch_size // process_count
    for start in range(0, len(cases), batch_size):
        stop = min(start + batch_size, len(cases))
        first = start + process_index * rows
        mine = (min(index, stop - 1) for index in range(first, first + rows))
        yield slice(start, stop), _stacked([record(cases, index) for index in mine])


def own_cases(
    part: slice, batch_size: int, process_index: int = 0, process_count: int = 1
) -> range:
    """The cases in this process's rows of an evaluation batch, without the copies.

    Args:
        part: the slice of cases that `evaluation_batches` yields.
        batch_size: cases in a global batch.
        process_index: which of the processes this is.
        process_count: number of processes.
    """
    rows = batch_size // process_count
    first = part.start + process_index * rows
    return range(first, max(first, min(first + rows, part.stop)))
