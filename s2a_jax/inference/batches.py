"""Batches of images: their sizes, and the program that computes them on all devices.

An image's padding decides its numbers, since group norm and attention see the whole image. So a
batch holds images of one padded size only, and its results are those of single images. A batch with
too few images is filled with black ones, whose results nobody reads: each size has few programs.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from s2a_jax.inference.pieces import Piece
from s2a_jax.training.step import predict_step

_ROWS = 16  # images of a default batch on a GPU or TPU ...
_PIXELS = _ROWS * 304 * 304  # ... unless they are larger: so many pixels, then
_PROGRAMS = 32  # compiled sizes that are kept; one of `small` takes about 25 MiB on a CPU
_WAITING = 2**25  # pixels of images that wait for others of their size: 128 MiB

T = TypeVar("T")


class BatchPredictor:
    """A network on all devices of this process.

    Args:
        module: the network.
        variables: its variables.
        batch_size: images computed together, rounded up to a multiple of the devices; None: one a
            device on a CPU, where more do not pay, and `_ROWS` a device elsewhere, fewer if they
            are large.
    """

    def __init__(self, module: nn.Module, variables: dict[str, Any], batch_size: int | None = None):
        devices = jax.local_devices()
        mesh = Mesh(np.array(devices), ("data",))
        whole, split = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))
        self._devices, self._batch_size = devices, batch_size
        self._variables = jax.device_put(variables, whole)
        self._split = split
        self._predict = jax.jit(
            functools.partial(predict_step, module=module),
            in_shardings=(whole, split),
            out_shardings=split,
        )
        self._compiled: set[tuple[int, ...]] = set()

    def rows(self, shape: tuple[int, ...]) -> int:
        """Images in a full batch of images of this padded shape."""
        devices = len(self._devices)
        rows = self._batch_size
        if rows is None:
            each = 1
            if self._devices[0].platform != "cpu":
                each = min(_ROWS, max(1, _PIXELS // (shape[0] * shape[1])))
            rows = each * devices
        return self._divisible(rows)

    def _divisible(self, rows: int) -> int:
        devices = len(self._devices)
        return -(-rows // devices) * devices

    def _program(self, shape: tuple[int, ...], count: int) -> tuple[int, ...]:
        """Shape of the batch that holds `count` images of one padded shape."""
        full = (self.rows(shape), *shape)
        if full in self._compiled:
            return full
        # A few images alone do not pay for a whole batch.
        rows = self._divisible(1 << (count - 1).bit_length())
        return (min(rows, full[0]), *shape)

    def start(self, images: Sequence[np.ndarray]) -> dict[str, Array]:
        """Starts to compute images of one padded shape, at most `rows` of them.

        Returns:
            {"rv", "faz"}: float32 [rows, H', W'] in [0, 1], with meaningless rows after those of
            the images. They need not be computed yet.
        """
        shape = self._program(images[0].shape, len(images))
        if shape not in self._compiled:
            if len(self._compiled) == _PROGRAMS:  # images of many sizes must not fill the memory
                self._predict.clear_cache()
                self._compiled.clear()
            self._compiled.add(shape)
        batch = np.zeros(shape, np.float32)
        for row, image in zip(batch, images, strict=False):
            row[...] = image
        return self._predict(self._variables, jax.device_put(batch, self._split))


def by_size(
    pieces: Iterable[tuple[T, Piece]], rows: Callable[[tuple[int, ...]], int]
) -> Iterator[list[tuple[T, Piece]]]:
    """Groups inputs of one padded shape.

    They wait until their group is full, or until too many wait: then the largest group goes.

    Args:
        pieces: anything, and the input.
        rows: padded shape -> size of a full group.

    Yields:
        Groups, of at most that size.
    """
    groups: dict[tuple[int, ...], list[tuple[T, Piece]]] = {}
    waiting = 0
    for one in pieces:
        shape = one[1].shape
        group = groups.setdefault(shape, [])
        group.append(one)
        waiting += math.prod(shape)
        if len(group) < rows(shape):
            if waiting <= _WAITING:
                continue
            shape = max(groups, key=lambda each: len(groups[each]) * math.prod(each))
        waiting -= len(groups[shape]) * math.prod(shape)
        yield groups.pop(shape)
    yield from groups.values()
