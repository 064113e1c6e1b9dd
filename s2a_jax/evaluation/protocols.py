"""How predictions are compared with the truth: resolution, threshold, what is reported."""

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from s2a_jax.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """One way to evaluate.

    Attributes:
        name: of the protocol.
        side: images and masks are resized to this side in pixels; None: they keep their own.
        threshold: of the probability, in [0, 1]; None: Otsu's, found for each map.
        is_strict: whether only more than the threshold is positive, not the threshold itself.
        is_pooled: whether metrics over all pixels of all images stand beside the means.
    """

    name: str
    side: int | None
    threshold: float | None
    is_strict: bool = False
    is_pooled: bool = False

    def describe(self) -> str:
        """For the title of a table."""
        if self.threshold is None:
            rule = "Otsu's threshold for each image"
        else:
            rule = f"probability {'>' if self.is_strict else '>='} {self.threshold:.4g}"
        return f"protocol {self.name}, {rule}"

    def cut(self, probability: np.ndarray) -> np.float32:
        """The smallest probability that is positive in a map [H, W] of values in [0, 1]."""
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
    """A protocol by its name.

    Args:
        name: one of `PROTOCOLS`.
        threshold: of `native`, in [0, 1]; None: 0.5. The others have their own.
        field: what the two fields' names begin with, for messages: "--" or "config.eval.".

    Raises:
        UserError: an unknown name, or a threshold outside [0, 1].
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
    """Otsu's threshold on 256 levels, as the published codes find it.

    A map of a single level has no such threshold; 0.5 is taken.
    """
    from skimage.filters import threshold_otsu  # only now: it takes long to import

    levels = (probability * 255).astype(np.uint8)
    if levels.min() == levels.max():
        return np.float32(0.5)
    return np.float32((int(threshold_otsu(levels)) + 1) / 255)
