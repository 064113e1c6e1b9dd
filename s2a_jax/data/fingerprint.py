"""Fingerprints of cases: whether a data set is still the one that it was."""

from hashlib import blake2b

import numpy as np

from s2a_jax.inputs.images import unit_pixels


def fingerprint(image: np.ndarray, rv: np.ndarray | None, faz: np.ndarray | None) -> str:
    """A hash of one case's pixels and masks.

    Args:
        image: float32 in [0, 1], or uint8, [H, W] or [H, W, C]; both types give the same hash.
        rv: bool or {0, 1}, [H, W]; None without a mask.
        faz: the same for the FAZ.
    """
    digest = blake2b(np.ascontiguousarray(unit_pixels(image)), digest_size=16)
    digest.update(repr(image.shape).encode())
    for mask in (rv, faz):
        digest.update(b"no mask" if mask is None else np.packbits(mask))
    return digest.hexdigest()
