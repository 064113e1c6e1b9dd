"""Names and shapes of S2A-Net's PyTorch checkpoint."""

from collections.abc import Mapping
from typing import Any

from s2a_jax.convert.hybrid import DECODER, ENCODER, decoder_fields, encoder_fields
from s2a_jax.convert.names import Names, Rule, Shapes
from s2a_jax.errors import UserError

_UNUSED = (
    "Multioutput_[1-9].*",
    "Multioutput_1[01].*",
    "Multioutput_0_faz.*",
    "Multioutput_[6-9]_faz.*",
    "Multioutput_1[01]_faz.*",
    "Multioutput_*.segmentation_head.*",
    "decoder.*",
    "segmentation_head.*",
    "segmentation_head_faz.*",
    "transformer.encoder.layer.6.*",
)
"""Keys that the released network holds (24 decoders) and never uses."""

_RULES: tuple[Rule, ...] = (
    *ENCODER,
    (r"^heads/lcem/head/", "segmentation_head_2.0."),
    (r"^heads/gcem/head/", "segmentation_head_faz_2.0."),
    (r"^heads/lcem/decoder_(\d+)/", r"Multioutput_\1.decoder."),
    (r"^heads/gcem/decoder_(\d+)/", r"Multioutput_\1_faz.decoder."),
    *DECODER,
)


def _check_layers(params: Mapping[str, Any]) -> None:
    """Checks that the released code has names for all decoders.

    It uses the vessels' decoder of block 0 and the FAZ's of blocks 1 to 5. A reader of the
    checkpoint would take any other for one of the decoders that it never uses.

    Raises:
        UserError: other blocks are decoded.
    """
    for name, blocks in (("lcem", (0,)), ("gcem", (1, 2, 3, 4, 5))):
        built = [
            int(key.split("_")[1]) for key in params["heads"][name] if key.startswith("decoder_")
        ]
        if not set(built) <= set(blocks):
            raise UserError(
                f"{name}_layers={tuple(sorted(built))}: PyTorch's S2A-Net has names only for "
                f"blocks {', '.join(map(str, blocks))}. Keep these weights in this package's "
                ".safetensors."
            )


def _fields(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    rv_layers = shapes.indices(r"Multioutput_(\d+)\.decoder\.")
    faz_layers = shapes.indices(r"Multioutput_(\d+)_faz\.decoder\.")
    if not rv_layers or not faz_layers:
        raise UserError(
            "This is no S2A-Net checkpoint: expected keys Multioutput_0.decoder.* and "
            "Multioutput_1_faz.decoder.*, found neither or only one."
        )
    first, channels = decoder_fields(shapes, f"Multioutput_{rv_layers[0]}.decoder.")
    gcem_first, gcem_channels = decoder_fields(shapes, f"Multioutput_{faz_layers[0]}_faz.decoder.")
    return encoder_fields(shapes, known) | {
        "first_channels": first,
        "decoder_channels": channels,
        "gcem_first_channels": gcem_first,
        "gcem_decoder_channels": gcem_channels,
        "lcem_layers": rv_layers,
        "gcem_layers": faz_layers,
    }


NAMES = Names(
    _RULES,
    _fields,
    mark="segmentation_head_faz_2.0.weight",
    unused=_UNUSED,
    check=_check_layers,
)
