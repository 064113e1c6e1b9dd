"""Slabs of synthetic eyes, and which of them stands for which slab of a real data set."""

from collections.abc import Sequence

import numpy as np

from s2a_jax.data.synthesis import Eye
from s2a_jax.errors import UserError
from s2a_jax.inputs.slabs import slab_names

SYNTHETIC_SLABS = ("superficial", "deep", "whole")
_SHARED_NAMES = {
    "ILM_OPL": "superficial",
    "SVC": "superficial",
    "SCC": "superficial",
    "OPL_BM": "deep",
    "DVC": "deep",
    "DCC": "deep",
    "FULL": "whole",
    "SVC_DVC": "whole",
    "WRCC": "whole",
}
"""Slab of OCTA-500 or ROSE -> what stands for it; the layers are alike, not the same."""


def synthetic_slabs(slab: str | None) -> tuple[str, ...]:
    """Of each name in `config.data.slab` the synthetic slab; the superficial one for None.

    Raises:
      UserError: a name for which there is none.
    """
    slabs = []
    for name in slab_names(slab):
        known = name if name in SYNTHETIC_SLABS else _SHARED_NAMES.get(name)
        if known is None:
            raise UserError(
                f"config.data.slab={name!r}: synthetic eyes have {', '.join(SYNTHETIC_SLABS)}, and "
                f"stand for {', '.join(_SHARED_NAMES)}; no other slab can be made of them."
            )
        slabs.append(known)
    return tuple(slabs) or SYNTHETIC_SLABS[:1]


def counterpart(name: str) -> str:
    """The synthetic slab that stands for a slab of any data set; the name itself if none does."""
    return _SHARED_NAMES.get(name, name)


def own_names(slab: str | None, known: Sequence[str]) -> str | None:
    """As `config.data.slab`, in the names that a data set has for the same layers.

    Args:
      slab: names of any data set; None stays.
      known: the names of this one. What none of them stands for keeps its name.

    Raises:
      UserError: as `slab_names`.
    """
    own = {counterpart(name): name for name in known}
    names = (one if one in known else own.get(counterpart(one), one) for one in slab_names(slab))
    return ",".join(names) or None


def eye_image(eye: Eye, slabs: Sequence[str]) -> np.ndarray:
    """The slabs of one eye: uint8 [H, W] of one, [H, W, C] of C.

    `whole` is the brighter of the two plexuses at each pixel, as in a maximum projection.
    """
    images = {
        "superficial": eye.image,
        "deep": eye.deep,
        "whole": np.maximum(eye.image, eye.deep),
    }
    chosen = [images[slab] for slab in slabs]
    return chosen[0] if len(chosen) == 1 else np.stack(chosen, axis=-1)
