"""Synthetic OCTA en-face images with exact labels of vessels and foveal avascular zone.

The synthesis grows an anatomy (`vessels`), draws it (`render`) and images it (`acquisition`);
`synthesize_eye` runs the three and `stream_eyes` repeats it endlessly. Positions are (y, x) in mm
from the image centre until they are drawn, so one seed gives the same eye at every image size.
"""

from s2a_jax.data.synthesis.eye import Eye, synthesize_eye
from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.data.synthesis.stream import stream_eyes

__all__ = ["Eye", "EyeParameters", "stream_eyes", "synthesize_eye"]
