"""S2A-Net in JAX/Flax: retinal vessels (RV) and the foveal avascular zone (FAZ) in OCTA images.

Letters in shapes:
    B   images of a batch
    H W pixels; h w those of a coarser map; S the side of a square image
    C   channels, F those of an output; with several slabs, one channel a slab
    N   tokens of an image, D their width
    N   cases, eyes or points in NumPy arrays
    T   tasks: vessels ("rv"), then the avascular zone ("faz")

Images are NHWC; networks return logits {"rv": [B, H, W, 1], "faz": [B, H, W, 1]}.

`S2ANet` is a trained network that takes images: `S2ANet.pretrained().analyze(image, field_mm=3)`.
The Linen module of the same name is `s2a_jax.models.s2anet.S2ANet`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2a_jax.analysis.analysis import Analysis
    from s2a_jax.analysis.model import S2ANet

__version__ = "0.1.0"
__all__ = ["Analysis", "S2ANet", "__version__"]


def __getattr__(name: str) -> Any:
    # Imported on demand: parts without JAX (data, synthesis, biomarkers) must start without it.
    if name == "S2ANet":
        from s2a_jax.analysis.model import S2ANet

        return S2ANet
    if name == "Analysis":
        from s2a_jax.analysis.analysis import Analysis

        return Analysis
    raise AttributeError(f"module 's2a_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
