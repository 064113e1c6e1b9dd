"""Names and shapes of TransUNet's PyTorch checkpoint."""

from collections.abc import Mapping
from typing import Any

from s2a_jax.convert.hybrid import DECODER, ENCODER, decoder_fields, encoder_fields
from s2a_jax.convert.names import Names, Shapes, refuse_other_channels


def _fields(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    refuse_other_channels(shapes, "segmentation_head.0.weight")
    first, channels = decoder_fields(shapes, "decoder.")
    return encoder_fields(shapes, known) | {
        "num_blocks": len(shapes.indices(r"transformer\.encoder\.layer\.(\d+)\.")),
        "first_channels": first,
        "decoder_channels": channels,
    }


NAMES = Names(
    rules=(*ENCODER, (r"^head/", "segmentation_head.0."), *DECODER),
    fields=_fields,
    # Also a key of S2A-Net, whose own mark is looked for first.
    mark="transformer.embeddings.position_embeddings",
)
