"""Evaluation protocols: resolution, threshold, and what is reported."""

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from skimage.filters import threshold_otsu

from s2a_jax.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """Settings that an evaluation's numbers depend on.

    Attributes:
        name: name of the protocol.
        side: side in pixels that images and masks are resized to; None keeps their own size.
        threshold: threshold of the probability, in [0, 1]; None: Otsu's threshold of each map.
        is_strict: whether a pixel must exceed the threshold to be positive.
        is_pooled: whether metrics over all pixels of all images are reported beside the means.
    """

    name: str
    side: int | None
    threshold: float | None
    is_strict: bool = False
    is_pooled: bool = False

    def describe(self) -> str:
        """Name and threshold, as in the title of a table."""
        if self.threshold is None:
            rule = "Otsu's threshold for each image"
        else:
            rule = f"probability {'>' if self.is_strict else '>='} {self.threshold:.4g}"
        return f"protocol {self.name}, {rule}"

    def cut(self, probability: np.ndarray) -> np.float32:
        """Smallest probability of a positive pixel in a map [H, W] of values in [0, 1]."""
        if self.threshold is None:
            return _otsu(probability)
        threshold = np.float32(self.threshold)
        return np.nextafter(threshold, np.float32(2)) if self.is_strict else threshold


PROTOCOLS = MappingProxyType(
    {
        "native": Protocol("native", side=None, threshold=0.5, is_pooled=True),
        # The released code of S2A-Net.
        "s2anet": Protocol("s2anet", side=320, threshold=128 / 255, is_strict=True),
        # Joint-Seg, VAFF-Net and OCTA-Net.
        "otsu": Protocol("otsu", side=None, threshold=None),
    }
)
"""Name -> protocol."""


def find_protocol(name: str, threshold: float | None, field: str) -> Protocol:
    """Finds a protocol by name.

    Args:
        name: one of `PROTOCOLS`.
        threshold: threshold of `native`, in [0, 1]; None means 0.5. The other protocols have fixed
            thresholds.
        field: prefix of the flags or fields in messages: "--" or "config.eval.".

    Raises:
        UserError: the name is unknown, or the threshold is outside [0, 1].
    """
    if name not in PROTOCOLS:
        raise UserError(f"{field}protocol={name!r}: expected one of {', '.join(PROTOCOLS)}.")
    protocol = PROTOCOLS[name]
    if threshold is not None and not 0 <= threshold <= 1:
        raise UserError(f"{field}threshold={threshold}: expected a probability in [0, 1].")
    if name != "native" or threshold is None:
        return protocol
    return replace(protocol, threshold=float(threshold))


def _otsu(probability: np.ndarray) -> np.float32:
    """Otsu's threshold on 256 levels, computed as in the published code.

    A map of a single level has no such threshold and is cut at 0.5.
    """
    levels = (probability * 255).astype(np.uint8)
    if levels.min() == levels.max():
        return np.float32(0.5)
    return np.float32((int(threshold_otsu(levels)) + 1) / 255)
