"""Fingerprints of cases: whether a data set is still the one that it was."""

from hashlib import blake2b

import numpy as np

from s2a_jax.inputs.images import unit_pixels


def fingerprint(image: np.ndarray, rv: np.ndarray | None, faz: np.ndarray | None) -> str:
    """A hash of one case's pixels, a dash, and a hash of its masks.

    Args:
        image: float32 in [0, 1], or uint8, [H, W] or [H, W, C]; both types give the same hash.
        rv: bool or {0, 1}, [H, W]; None without a mask.
        faz: the same for the FAZ.
    """
    pixels = blake2b(np.ascontiguousarray(unit_pixels(image)), digest_size=16)
    pixels.update(repr(image.shape).encode())
    masks = blake2b(digest_size=8)
    for mask in (rv, faz):
        masks.update(b"no mask" if mask is None else np.packbits(mask))
    return f"{pixels.hexdigest()}-{masks.hexdigest()}"


def of_pixels(digest: str) -> str:
    """The part of a fingerprint that copies of an image share, whatever their masks are."""
    return digest.partition("-")[0]
