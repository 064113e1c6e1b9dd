"""Many images: read ahead, computed in batches, and written, in threads and in bounded memory."""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

import jax
from jax import Array

from s2a_jax.errors import UserError
from s2a_jax.inference.batches import BatchPredictor, by_size
from s2a_jax.inference.pieces import Computed, Piece, Prepared
from s2a_jax.inference.runtimes import Runtime
from s2a_jax.machine import cores

_THREADS = 16  # at most, of either kind
_AHEAD = 2**26  # pixels of images that are read ahead: 256 MiB

S, T = TypeVar("S"), TypeVar("T")


class _Refused(NamedTuple):
    """An item that cannot be read, and the reason."""

    item: Any
    error: UserError


def predict_stream(
    predictor: BatchPredictor | Runtime,
    items: Iterable[S],
    read: Callable[[S], tuple[T, Prepared]],
    write: Callable[[T, Computed], None],
    failed: Callable[[S, UserError], None],
    threads: int | None = None,
) -> Iterator[int]:
    """Predicts every image on all devices of this process.

    An item that `read` refuses with a UserError is left out; any other error ends the stream.
    However it ends, no `write` is at work afterwards.

    Args:
        predictor: the network.
        items: what `read` takes.
        read: called in threads; returns what `write` takes, and what `Segmenter.prepare` returns.
        write: called in threads with the result of one image. The order of the images may differ
            from that of `items`.
        failed: called in the caller's thread with an item that cannot be read, and the reason; what
            it raises ends the stream.
        threads: that read, and as many that write; None: one a core, at most 16.

    Yields:
        The number of images that were written since.
    """

    def write_batch(group: list[tuple[_Which[T], Piece]], computed: dict[str, Array]) -> int:
        probability = jax.device_get(computed)
        finished = 0
        for row, ((about, image, index), _) in enumerate(group):
            if image.add(index, {task: p[row] for task, p in probability.items()}):
                write(about, image.result())
                finished += 1
        return finished

    threads = threads or min(cores(), _THREADS)
    writers = ThreadPoolExecutor(threads)
    written: deque[Future[int]] = deque()
    computing: dict[str, Array] | None = None

    def read_or_refuse(item: S) -> tuple[T, Prepared] | _Refused:
        try:
            return read(item)
        except UserError as error:
            return _Refused(item, error)

    def readable(
        images: Iterable[tuple[T, Prepared] | _Refused],
    ) -> Iterator[tuple[T, Prepared]]:
        for one in images:
            if isinstance(one, _Refused):
                failed(*one)
            else:
                yield one

    with contextlib.closing(_read_ahead(items, read_or_refuse, threads)) as images:
        try:
            for group in by_size(_pieces(readable(images)), predictor.rows):
                started = predictor.start([piece.pixels() for _, piece in group])
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


class _Which(NamedTuple, Generic[T]):
    """Where a piece belongs: what `write` takes, the image, and the piece's place in it."""

    about: T
    image: Prepared
    index: int


def _pieces(images: Iterable[tuple[T, Prepared]]) -> Iterator[tuple[_Which[T], Piece]]:
    for about, image in images:
        for index, piece in enumerate(image.pieces):
            yield _Which(about, image, index), piece


def _read_ahead(
    items: Iterable[S], read: Callable[[S], tuple[T, Prepared] | _Refused], threads: int
) -> Iterator[tuple[T, Prepared] | _Refused]:
    """Yields what `read` returns of every item, in order, while it reads a few later ones."""
    readers = ThreadPoolExecutor(threads)
    pending: deque[Future[tuple[T, Prepared] | _Refused]] = deque()
    most = 2 * threads
    try:
        for item in items:
            pending.append(readers.submit(read, item))
            while len(pending) > most:
                one = pending.popleft().result()
                if not isinstance(one, _Refused):
                    scale = one[1].scale
                    pixels = max(math.prod(scale.size), math.prod(scale.network_size))
                    most = min(2 * threads, _AHEAD // pixels)
                yield one
        while pending:
            yield pending.popleft().result()
    finally:
        readers.shutdown(cancel_futures=True)
