"""Fingerprints of cases: whether a data set is still the one that it was."""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np

from s2a_jax.data.cases import CaseSet
from s2a_jax.data.load import RunData
from s2a_jax.inputs.images import unit_pixels


def fingerprints(data: RunData) -> dict[str, str]:
    """A hash of each case's pixels and masks, as the run reads them, by the case's name.

    Training cases are named "source/train/id", the others "val/id" and "test/id". Streamed eyes
    have none: they follow from the configuration.
    """
    names = [
        f"{source}/train/{id_}"
        for source, (part, _) in data.sources.items()
        for id_ in data.train.ids[part.start : part.stop]
    ]
    digests = dict(zip(names, _digests(data.train), strict=True))
    for split, cases in (("val", data.val), ("test", data.test)):
        digests |= {
            f"{split}/{id_}": digest for id_, digest in zip(cases.ids, _digests(cases), strict=True)
        }
    return digests


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


def _digests(cases: CaseSet) -> Iterator[str]:
    masks = ((cases.rv, cases.has_rv), (cases.faz, cases.has_faz))
    for index, image in enumerate(cases.images):
        rv, faz = (mask[index] if exists[index] else None for mask, exists in masks)
        yield fingerprint(image, rv, faz)
