"""Slabs, the projections of one eye: names, files and arrays.

An image is [H, W] with one slab and [H, W, C] with C > 1 slabs, in the order of
`config.data.slab`.
"""

from collections.abc import Sequence

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import intensity, resize_image, to_unit_float
from s2a_jax.inputs.names import nfc
from s2a_jax.inputs.picture import Picture


class SlabError(UserError):
    """A data set lacks a slab.

    Attributes:
        fact: the sentence without remedy and full stop.
    """

    def __init__(self, fact: str, remedy: str = ""):
        super().__init__(f"{fact}{remedy and '; '}{remedy}.")
        self.fact = fact


def slab_names(slab: str | None) -> tuple[str, ...]:
    """Splits `config.data.slab`: "FULL,OPL_BM" -> ("FULL", "OPL_BM"); None -> ().

    Raises:
        UserError: a name is empty or there twice.
    """
    if slab is None:
        return ()
    names = tuple(name.strip() for name in nfc(slab).split(","))
    if "" in names or len(set(names)) < len(names):
        raise UserError(
            f"config.data.slab={slab!r}: expected one name, or different names separated by commas."
        )
    return names


def check_slabs(slab: str | None, known: Sequence[str], owner: str) -> tuple[str, ...]:
    """Splits `config.data.slab` and checks the names; None gives the first known name.

    Raises:
        SlabError: a name is not `known`; the message lists what `owner` has.
    """
    names = slab_names(slab)
    for name in names:
        if name not in known:
            raise SlabError(f"config.data.slab={name!r}: {owner} has {', '.join(known)}")
    return names or tuple(known[:1])


def join_slabs(pictures: Sequence[Picture]) -> np.ndarray:
    """Joins the slabs of one eye.

    Args:
        pictures: one for each slab, in order.

    Returns:
        float32 in [0, 1]: [H, W] for one slab, [H, W, C] for C.

    Raises:
        UserError: as for `intensity`, or a slab differs in size from the first.
    """
    images = [intensity(picture) for picture in pictures]
    for picture, image in zip(pictures, images, strict=True):
        if image.shape != images[0].shape:
            (height, width), (first_height, first_width) = image.shape, images[0].shape
            raise UserError(
                f"The slab {picture.path} is {width}x{height} pixels but {pictures[0].path} is "
                f"{first_width}x{first_height} (width x height); slabs of one eye must have one "
                "size."
            )
    return images[0] if len(images) == 1 else np.stack(images, axis=-1)


def slabs_to_unit_float(array: np.ndarray, slabs: Sequence[str]) -> np.ndarray:
    """Converts the slabs of one eye to the form that networks read.

    Args:
        array: [H, W, C], of a type that `to_unit_float` takes.
        slabs: names of the C > 1 slabs, in order.

    Returns:
        float32 [H, W, C] in [0, 1].

    Raises:
        UserError: another shape, the same picture in every channel, or as for `to_unit_float`.
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
    """Resizes every slab, as `resize_image` does: [H, W] or [H, W, C] -> float32, new size."""
    if image.ndim == 2:
        return resize_image(image, size)
    return np.stack([resize_image(slab, size) for slab in np.moveaxis(image, -1, 0)], axis=-1)


def first_slab(image: np.ndarray) -> np.ndarray:
    """The slab that pictures show: [H, W] or [H, W, C] -> [H, W]."""
    return image if image.ndim == 2 else image[..., 0]
