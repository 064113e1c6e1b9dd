"""PyTorch's names and shapes of the hybrid encoder and its decoders (S2A-Net, TransUNet)."""

import re
from collections.abc import Mapping
from typing import Any

from s2a_jax.convert.names import Rule, Shapes
from s2a_jax.errors import UserError

_EMBEDDINGS = "transformer.embeddings."
_BODY = _EMBEDDINGS + "hybrid_model.body."

ENCODER: tuple[Rule, ...] = (
    (r"^encoder/resnet/root_(conv|gn)/", _EMBEDDINGS + r"hybrid_model.root.\1."),
    (r"^encoder/resnet/block(\d+)_unit(\d+)/", _BODY + r"block\1.unit\2."),
    (r"^encoder/transformer/patch_embedding/", _EMBEDDINGS + "patch_embeddings."),
    (r"^encoder/transformer/position_embedding$", _EMBEDDINGS + "position_embeddings"),
    (r"^encoder/transformer/norm/", "transformer.encoder.encoder_norm."),
    (r"^encoder/transformer/block_(\d+)/attention/", r"transformer.encoder.layer.\1.attn."),
    (r"^encoder/transformer/block_(\d+)/mlp_norm/", r"transformer.encoder.layer.\1.ffn_norm."),
    (r"^encoder/transformer/block_(\d+)/fc", r"transformer.encoder.layer.\1.ffn.fc"),
    (r"^encoder/transformer/block_(\d+)/", r"transformer.encoder.layer.\1."),
)
DECODER: tuple[Rule, ...] = (
    (r"conv_more/conv/", "conv_more.0."),
    (r"conv_more/bn/", "conv_more.1."),
    (r"block_(\d+)/(conv\d)/conv/", r"blocks.\1.\2.0."),
    (r"block_(\d+)/(conv\d)/bn/", r"blocks.\1.\2.1."),
)


def encoder_fields(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the encoder's fields off the shapes; 12 heads are assumed for the published width.

    Raises:
        UserError: `num_heads` is missing for another width, or `grid` for a number of tokens that
            is no square; the position embeddings have another rank.
    """
    positions = shapes[_EMBEDDINGS + "position_embeddings"]
    if len(positions) != 3:
        raise UserError(
            f"Key {_EMBEDDINGS + 'position_embeddings'!r} has shape {positions}, expected "
            "(1, tokens, width)."
        )
    _, tokens, hidden = positions
    side = round(tokens**0.5)
    if side * side != tokens and "grid" not in known:
        raise UserError(
            f"The checkpoint has {tokens} tokens, which is no square number: set grid=[h, w]."
        )
    if hidden != 768 and "num_heads" not in known:
        raise UserError(
            f"Tokens are {hidden} wide, not 768 with 12 heads as published: set num_heads=, which "
            "the shapes do not determine."
        )
    body = re.escape(_BODY)
    units = (shapes.indices(body + rf"block{i}\.unit(\d+)\.") for i in (1, 2, 3))
    return {
        "width": shapes[_EMBEDDINGS + "hybrid_model.root.conv.weight"][0],
        "units": tuple(len(unit) for unit in units),
        "hidden": hidden,
        "num_heads": 12,
        "mlp_width": shapes["transformer.encoder.layer.0.ffn.fc1.weight"][0],
        "grid": (side, side),
    }


def decoder_fields(shapes: Shapes, prefix: str) -> tuple[int, tuple[int, ...]]:
    """Reads channels of the first convolution and of the blocks of the decoder below `prefix`."""
    blocks = shapes.indices(re.escape(prefix) + r"blocks\.(\d+)\.")
    channels = tuple(shapes[f"{prefix}blocks.{i}.conv2.0.weight"][0] for i in blocks)
    return shapes[prefix + "conv_more.0.weight"][0], channels
