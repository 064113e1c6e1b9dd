"""Many images: read ahead, computed in batches, and written, in threads and in bounded memory."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax import Array

from s2a_jax.errors import UserError
from s2a_jax.inference.batches import BatchPredictor, by_size
from s2a_jax.inference.segmenter import Padded, Segmenter
from s2a_jax.machine import cores

_THREADS = 16  # at most, of either kind

S, T = TypeVar("S"), TypeVar("T")


class _Refused(NamedTuple):
    """An item that cannot be read, and the reason."""

    item: Any
    error: UserError


def predict_stream(
    model: Segmenter,
    items: Iterable[S],
    count: int,
    read: Callable[[S], tuple[T, Padded]],
    write: Callable[[T, dict[str, np.ndarray]], None],
    failed: Callable[[S, UserError], None],
    batch_size: int | None = None,
) -> Iterator[int]:
    """Predicts every image on all devices of this process.

    An item that `read` refuses with a UserError is left out; any other error ends the stream.
    However it ends, no `write` is at work afterwards.

    Args:
        model: the network.
        items: what `read` takes.
        count: number of items.
        read: called in threads; returns what `write` takes, and what `model.pad` returns.
        write: called in threads with the probabilities of one image, as `predict_proba` returns
            them. The order of the images may differ from that of `items`.
        failed: called in the caller's thread with an item that cannot be read, and the reason.
        batch_size: as for `BatchPredictor`.

    Yields:
        The number of images that were written since.
    """
    if not count:
        return
    predictor = BatchPredictor(model, batch_size, count)

    def write_batch(group: list[tuple[T, Padded]], computed: dict[str, Array]) -> int:
        probability = jax.device_get(computed)
        for row, (about, padded) in enumerate(group):
            each = {task: p[row] for task, p in probability.items()}
            write(about, model.crop(each, padded))
        return len(group)

    threads = min(cores(), _THREADS)
    writers = ThreadPoolExecutor(threads)
    written: deque[Future[int]] = deque()
    computing: dict[str, Array] | None = None

    def read_or_refuse(item: S) -> tuple[T, Padded] | _Refused:
        try:
            return read(item)
        except UserError as error:
            return _Refused(item, error)

    def readable(images: Iterable[tuple[T, Padded] | _Refused]) -> Iterator[tuple[T, Padded]]:
        for one in images:
            if isinstance(one, _Refused):
                failed(*one)
            else:
                yield one

    with contextlib.closing(_read_ahead(items, read_or_refuse, threads)) as images:
        try:
            for group in by_size(readable(images), predictor.rows):
                started = predictor.start([padded.pixels for _, padded in group])
                jax.block_until_ready(computing)  # at most two batches are being computed
                computing = started
                written.append(writers.submit(write_batch, group, started))
                while len(written) > threads + 1 or (written and written[0].done()):
                    yield written.popleft().result()
            while written:
                yield written.popleft().result()
        except UserError:
            writers.shutdown()  # what is computed already is not lost
            raise
        finally:
            writers.shutdown(cancel_futures=True)


def _read_ahead(items: Iterable[S], read: Callable[[S], T], threads: int) -> Iterator[T]:
    """Yields what `read` returns of every item, in order, while it reads a few later ones."""
    readers = ThreadPoolExecutor(threads)
    pending: deque[Future[T]] = deque()
    try:
        for item in items:
            pending.append(readers.submit(read, item))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        readers.shutdown(cancel_futures=True)
