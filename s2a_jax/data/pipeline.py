"""Batches from decoded cases: an endless training stream and padded evaluation batches."""

from collections.abc import Iterator, Mapping

import grain
import numpy as np

from s2a_jax.data.cases import CaseSet

Batch = dict[str, np.ndarray]
"""`image` [B, S, S] or, with C > 1 slabs, [B, S, S, C]; `rv`, `faz` uint8 [B, S, S]; `has_rv`,
`has_faz` float32 [B]."""


class TrainStream:
    """Endless training batches; batch k depends on the seed and k alone.

    Every source of cases is shuffled anew in each of its own passes, and sources are drawn from in
    the ratio of their weights. The slice of a process comes last, so that the global batch is the
    same for any number of processes.

    Args:
        cases: all cases, source after source.
        sources: name -> its range of indices into `cases` and its weight > 0.
        batch_size: cases in a global batch.
        seed: of the order.
        process_index, process_count: which rows of each batch are this process's.
    """

    def __init__(
        self,
        cases: CaseSet,
        sources: Mapping[str, tuple[range, float]],
        batch_size: int,
        seed: int,
        process_index: int = 0,
        process_count: int = 1,
    ):
        self._cases = cases
        self._ranges = {name: part for name, (part, _) in sources.items()}
        self._global_batch_size = batch_size
        streams = [
            grain.MapDataset.range(part.start, part.stop).seed(seed + i).shuffle().repeat(None)
            for i, (part, _) in enumerate(sources.values())
        ]
        weights = [weight for _, weight in sources.values()]
        self._order = streams[0] if len(streams) == 1 else grain.MapDataset.mix(streams, weights)
        self._batches = (
            self._order[process_index::process_count]
            .map(lambda index: record(cases, index))
            .batch(batch_size // process_count)
        )

    def starting_at(self, step: int) -> Iterator[Batch]:
        """Batches `step`, `step + 1`, ... with two threads reading ahead."""
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
        # A slice of an endless MapDataset is not endless; the iterator's own state is.
        iterator = iter(self._batches.to_iter_dataset(options))
        iterator.set_state({"next_index": step})
        return iterator

    def ids(self, step: int) -> list[str]:
        """Names of the cases in the global batch of `step`."""
        return [self._cases.ids[index] for index in self._indices(step)]

    def source_counts(self, first: int, last: int) -> dict[str, int]:
        """Cases of each source in the global batches of steps `first` to `last` - 1."""
        indices = [index for step in range(first, last) for index in self._indices(step)]
        return {
            name: sum(index in part for index in indices) for name, part in self._ranges.items()
        }

    def _indices(self, step: int) -> list[int]:
        first = step * self._global_batch_size
        return [self._order[first + i] for i in range(self._global_batch_size)]


def record(cases: CaseSet, index: int) -> Batch:
    """One case as the dict that batches are stacked from."""
    return {
        "image": cases.images[index],
        "rv": cases.rv[index],
        "faz": cases.faz[index],
        "has_rv": np.float32(cases.has_rv[index]),
        "has_faz": np.float32(cases.has_faz[index]),
    }


def evaluation_batches(
    cases: CaseSet, batch_size: int, process_index: int = 0, process_count: int = 1
) -> Iterator[tuple[slice, Batch]]:
    """Every case once, in order; the last batch is filled up with copies of its last case.

    Yields:
        The slice of `cases` that the global batch holds (copies left out), and this process's rows
        of the batch.
    """
    rows = batch_size // process_count
    for start in range(0, len(cases), batch_size):
        stop = min(start + batch_size, len(cases))
        indices = np.minimum(np.arange(start, start + batch_size), stop - 1)
        mine = indices[process_index * rows : (process_index + 1) * rows]
        records = [record(cases, index) for index in mine]
        yield (
            slice(start, stop),
            {name: np.stack([r[name] for r in records]) for name in records[0]},
        )
