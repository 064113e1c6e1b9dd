"""Names and shapes of U-Net's PyTorch checkpoint."""

from collections.abc import Mapping
from typing import Any

from s2a_jax.convert.names import DOUBLE_CONV, Names, Shapes, refuse_other_channels


def _fields(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    del known  # the shapes determine all fields
    refuse_other_channels(shapes, "Conv_1x1.weight")
    return {"widths": tuple(shapes[f"Conv{level}.conv.0.weight"][0] for level in range(1, 6))}


NAMES = Names(
    rules=(
        (r"^encoder/level(\d)/", r"Conv\1."),
        *((rf"^decoder/up{level}/", f"Up{level + 1}.up.0.") for level in (4, 3, 2, 1)),
        *((rf"^decoder/level{level}/", f"Up_conv{level + 1}.") for level in (4, 3, 2, 1)),
        (r"^head/", "Conv_1x1."),
        *DOUBLE_CONV,
    ),
    fields=_fields,
    mark="Conv1.conv.0.weight",
)
