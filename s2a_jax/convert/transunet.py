"""Names and shapes of TransUNet's PyTorch checkpoint."""

import re
from collections.abc import Mapping
from typing import Any

from s2a_jax.convert.hybrid import DECODER, ENCODER, decoder_fields, encoder_fields
from s2a_jax.convert.names import NUM_BATCHES, Rule, Shapes

UNUSED = re.compile(NUM_BATCHES)

RULES: tuple[Rule, ...] = (*ENCODER, (r"^head/", "segmentation_head.0."), *DECODER)


def fields_from_shapes(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the network that a checkpoint's shapes describe.

    Raises:
        UserError: this is no TransUNet, or shapes do not tell enough.
    """
    first, channels = decoder_fields(shapes, "decoder.")
    return encoder_fields(shapes, known) | {
        "num_blocks": len(shapes.indices(r"transformer\.encoder\.layer\.(\d+)\.")),
        "first_channels": first,
        "decoder_channels": channels,
    }
