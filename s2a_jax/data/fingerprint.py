"""Fingerprints of the cases of a run: whether a data set is still the one that it was."""

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


def _digests(cases: CaseSet) -> Iterator[str]:
    for index, image in enumerate(cases.images):
        # As float32: whether a set is stored as uint8 depends on its other cases.
        digest = blake2b(np.ascontiguousarray(unit_pixels(image)), digest_size=16)
        digest.update(repr(image.shape).encode())
        for mask, exists in ((cases.rv, cases.has_rv), (cases.faz, cases.has_faz)):
            digest.update(np.packbits(mask[index]) if exists[index] else b"no mask")
        yield digest.hexdigest()
