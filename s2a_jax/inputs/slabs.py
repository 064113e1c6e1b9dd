"""Several projections (slabs) of one eye: their names, their files, their arrays.

An image is [H, W] with one slab and [H, W, C] with C > 1, in the order in which `config.data.slab`
names them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_image, resize_image, to_unit_float


class SlabError(UserError):
    """A data set has no such slab.

    Attributes:
      fact: the sentence without the remedy, and without a full stop.
    """

    def __init__(self, fact: str, remedy: str = ""):
        super().__init__(f"{fact}{remedy and '; '}{remedy}.")
        self.fact = fact


def slab_names(slab: str | None) -> tuple[str, ...]:
    """The names in `config.data.slab`: "FULL,OPL_BM" -> ("FULL", "OPL_BM"); none for None.

    Raises:
      UserError: an empty name, or one that is there twice.
    """
    if slab is None:
        return ()
    names = tuple(name.strip() for name in slab.split(","))
    if "" in names or len(set(names)) < len(names):
        raise UserError(
            f"config.data.slab={slab!r}: expected one name, or different ones with commas between."
        )
    return names


def check_slabs(slab: str | None, known: Sequence[str], owner: str) -> tuple[str, ...]:
    """The names in `config.data.slab`, all of them `known`; the first known one for None.

    Raises:
      UserError: another name; the message says what `owner` has.
    """
    names = slab_names(slab)
    for name in names:
        if name not in known:
            raise SlabError(f"config.data.slab={name!r}: {owner} has {', '.join(known)}")
    return names or tuple(known[:1])


def read_slabs(
    paths: Sequence[Path], read: Callable[[Path], np.ndarray] = read_image
) -> np.ndarray:
    """Reads the slabs of one eye.

    Args:
      paths: one file a slab, in their order.
      read: reads one: float32 [H, W] in [0, 1].

    Returns:
      float32 in [0, 1], [H, W] of one file and [H, W, C] of C.

    Raises:
      UserError: a file cannot be read, or differs in size from the first.
    """
    images = [read(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            (height, width), (first_height, first_width) = image.shape, images[0].shape
            raise UserError(
                f"The slab {path} is {width}x{height} pixels but {paths[0]} is "
                f"{first_width}x{first_height} (width x height); slabs of one eye must have one "
                "size."
            )
    return images[0] if len(images) == 1 else np.stack(images, axis=-1)


def slabs_to_unit_float(array: np.ndarray, slabs: Sequence[str]) -> np.ndarray:
    """Brings the slabs of one eye to the form that models read.

    Args:
      array: [H, W, C], of the kinds that `to_unit_float` takes.
      slabs: names of the C > 1 slabs, in their order.

    Returns:
      float32 [H, W, C] in [0, 1].

    Raises:
      UserError: another shape, one picture C times, or as `to_unit_float`.
    """
    array = np.asarray(array)
    count, names = len(slabs), ", ".join(slabs)
    if array.ndim != 3 or array.shape[2] != count:
        raise UserError(
            f"The image array has shape {array.shape}; this network takes [H, W, {count}], the "
            f"slabs {names} of one eye in this order."
        )
    image = np.stack([to_unit_float(array[..., i]) for i in range(count)], axis=-1)
    if (image == image[..., :1]).all() and image.min() < image.max():
        raise UserError(
            f"The image array holds one picture {count} times, as a grey picture saved in colour "
            f"does; this network takes the different slabs {names} of one eye in this order."
        )
    return image


def resize_slabs(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`resize_image` of every slab: float [H, W] or [H, W, C] -> float32 of the new size."""
    if image.ndim == 2:
        return resize_image(image, size)
    return np.stack([resize_image(slab, size) for slab in np.moveaxis(image, -1, 0)], axis=-1)


def first_slab(image: np.ndarray) -> np.ndarray:
    """What is drawn of an image: [H, W] or [H, W, C] -> [H, W]."""
    return image if image.ndim == 2 else image[..., 0]
