"""Batches of images: their sizes, and the program that computes them on all devices.

An image's padding decides its numbers, since group norm and attention see the whole image. So a
batch holds images of one padded size only, and its results are those of single images. A batch with
too few images is filled with black ones, whose results nobody reads: each size has one program.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from s2a_jax.inference.segmenter import Padded, Segmenter
from s2a_jax.training.step import predict_step

_ROWS = 16  # images of a default batch on a GPU or TPU ...
_PIXELS = _ROWS * 304 * 304  # ... unless they are larger: so many pixels, then
_PROGRAMS = 32  # compiled sizes that are kept; one of `small` takes about 25 MiB on a CPU
_WAITING = 2**25  # pixels of images that wait for others of their size: 128 MiB

T = TypeVar("T")


class BatchPredictor:
    """A network on all devices of this process.

    Args:
        model: the network.
        batch_size: images computed together, rounded up to a multiple of the devices; None: one a
            device on a CPU, where more do not pay, and `_ROWS` a device elsewhere, fewer if they
            are large.
        most: number of images that there are; batches are no larger.
    """

    def __init__(self, model: Segmenter, batch_size: int | None, most: int):
        devices = jax.local_devices()
        mesh = Mesh(np.array(devices), ("data",))
        whole, split = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))
        self._devices, self._batch_size, self._most = devices, batch_size, most
        self._variables = jax.device_put(model.variables, whole)
        self._split = split
        self._predict = jax.jit(
            functools.partial(predict_step, module=model.module),
            in_shardings=(whole, split),
            out_shardings=split,
        )
        self._compiled: set[tuple[int, ...]] = set()

    def rows(self, shape: tuple[int, ...]) -> int:
        """Images in a batch of images of this padded shape."""
        devices = len(self._devices)
        rows = self._batch_size
        if rows is None:
            each = 1
            if self._devices[0].platform != "cpu":
                each = min(_ROWS, max(1, _PIXELS // (shape[0] * shape[1])))
            rows = each * devices
        return -(-min(rows, self._most) // devices) * devices

    def start(self, images: Sequence[np.ndarray]) -> dict[str, Array]:
        """Starts to compute images of one padded shape, at most `rows` of them.

        Returns:
            {"rv", "faz"}: float32 [rows, H', W'] in [0, 1], with meaningless rows after those of
            the images. They need not be computed yet.
        """
        shape = images[0].shape
        if shape not in self._compiled:
            if len(self._compiled) == _PROGRAMS:  # images of many sizes must not fill the memory
                self._predict.clear_cache()
                self._compiled.clear()
            self._compiled.add(shape)
        batch = np.zeros((self.rows(shape), *shape), np.float32)
        for row, image in zip(batch, images, strict=False):
            row[...] = image
        return self._predict(self._variables, jax.device_put(batch, self._split))


def by_size(
    images: Iterable[tuple[T, Padded]], rows: Callable[[tuple[int, ...]], int]
) -> Iterator[list[tuple[T, Padded]]]:
    """Groups images of one padded shape.

    Images wait until their group is full, or until too many wait: then the largest group goes.

    Args:
        images: anything, and the image.
        rows: padded shape -> size of a full group.

    Yields:
        Groups, of at most that size.
    """
    groups: dict[tuple[int, ...], list[tuple[T, Padded]]] = {}
    waiting = 0
    for one in images:
        pixels = one[1].pixels
        group = groups.setdefault(pixels.shape, [])
        group.append(one)
        waiting += pixels.size
        if len(group) < rows(pixels.shape):
            if waiting <= _WAITING:
                continue
            group = max(groups.values(), key=lambda each: sum(p.pixels.size for _, p in each))
        shape = group[0][1].pixels.shape
        waiting -= len(group) * group[0][1].pixels.size
        yield groups.pop(shape)
    yield from groups.values()
