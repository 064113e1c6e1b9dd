"""Names and shapes of S2A-Net's PyTorch checkpoint."""

import re
from collections.abc import Mapping
from typing import Any

from s2a_jax.errors import UserError
from s2a_jax.models.s2anet import S2ANet

UNUSED = re.compile(
    r"Multioutput_(?:[1-9]|1[01])\.|Multioutput_(?:0|[6-9]|1[01])_faz\.|Multioutput_\d+(?:_faz)?"
    r"\.segmentation_head\.|decoder\.|segmentation_head\.|segmentation_head_faz\."
    r"|transformer\.encoder\.layer\.6\.|.*num_batches_tracked$"
)
"""Keys the released network holds (24 decoders) and never uses, or that carry no weight."""

_ENCODER = "transformer.embeddings."
_RENAMED = (
    (r"^encoder/resnet/root_(conv|gn)/", _ENCODER + r"hybrid_model.root.\1."),
    (r"^encoder/resnet/block(\d+)_unit(\d+)/", _ENCODER + r"hybrid_model.body.block\1.unit\2."),
    (r"^encoder/transformer/patch_embedding/", _ENCODER + "patch_embeddings."),
    (r"^encoder/transformer/position_embedding$", _ENCODER + "position_embeddings"),
    (r"^encoder/transformer/norm/", "transformer.encoder.encoder_norm."),
    (r"^encoder/transformer/block_(\d+)/attention/", r"transformer.encoder.layer.\1.attn."),
    (r"^encoder/transformer/block_(\d+)/mlp_norm/", r"transformer.encoder.layer.\1.ffn_norm."),
    (r"^encoder/transformer/block_(\d+)/fc", r"transformer.encoder.layer.\1.ffn.fc"),
    (r"^encoder/transformer/block_(\d+)/", r"transformer.encoder.layer.\1."),
    (r"^lcem/head/", "segmentation_head_2.0."),
    (r"^gcem/head/", "segmentation_head_faz_2.0."),
    (r"^lcem/decoder_(\d+)/", r"Multioutput_\1.decoder."),
    (r"^gcem/decoder_(\d+)/", r"Multioutput_\1_faz.decoder."),
)
_DECODER_PARTS = (
    (r"conv_more/conv/", "conv_more.0."),
    (r"conv_more/bn/", "conv_more.1."),
    (r"block_(\d+)/(conv\d)/conv/", r"blocks.\1.\2.0."),
    (r"block_(\d+)/(conv\d)/bn/", r"blocks.\1.\2.1."),
)


def torch_prefix(path: str) -> str:
    """PyTorch's name for a Flax path without its leaf.

    `lcem/decoder_0/block_3/conv2/bn/` -> `Multioutput_0.decoder.blocks.3.conv2.1.`
    """
    for pattern, replacement in (*_RENAMED, *_DECODER_PARTS):
        path = re.sub(pattern, replacement, path)
    return path.replace("/", ".")


def module_from_shapes(shapes: Mapping[str, tuple[int, ...]], **known: Any) -> S2ANet:
    """The module that a checkpoint's shapes describe.

    Args:
        shapes: PyTorch's name -> shape, unused keys left out.
        **known: what shapes do not tell: `num_heads` (required), and any of `dropout_rate`,
            `groups`, `grid` (a square one is assumed), `remat`, `dtype`.

    Raises:
        UserError: `num_heads` is missing, or the number of tokens is no square and no `grid` given.
    """
    if "num_heads" not in known:
        raise UserError("from_torch('s2anet', ...) needs num_heads=: shapes do not tell it.")
    tokens, hidden = _shape(shapes, _ENCODER + "position_embeddings")[1:]
    side = round(tokens**0.5)
    if side * side != tokens and "grid" not in known:
        raise UserError(
            f"The checkpoint has {tokens} tokens, which is no square: give grid=(h, w)."
        )

    def count(pattern: str) -> tuple[int, ...]:
        found = {int(match[1]) for name in shapes if (match := re.match(pattern, name))}
        return tuple(sorted(found))

    def decoder(prefix: str) -> tuple[int, tuple[int, ...]]:
        blocks = count(re.escape(prefix) + r"blocks\.(\d+)\.")
        features = (_shape(shapes, f"{prefix}blocks.{i}.conv2.0.weight")[0] for i in blocks)
        return _shape(shapes, prefix + "conv_more.0.weight")[0], tuple(features)

    body = re.escape(_ENCODER + "hybrid_model.body.")
    rv_layers = count(r"Multioutput_(\d+)\.decoder\.")
    faz_layers = count(r"Multioutput_(\d+)_faz\.decoder\.")
    if not rv_layers or not faz_layers:
        raise UserError(
            "This is no S2A-Net checkpoint: expected keys Multioutput_0.decoder.* and "
            "Multioutput_1_faz.decoder.*, found neither or only one."
        )
    rv_decoder = decoder(f"Multioutput_{rv_layers[0]}.decoder.")
    faz_decoder = decoder(f"Multioutput_{faz_layers[0]}_faz.decoder.")
    fields: dict[str, Any] = {
        "width": _shape(shapes, _ENCODER + "hybrid_model.root.conv.weight")[0],
        "units": tuple(max(count(body + rf"block{i}\.unit(\d+)\."), default=0) for i in (1, 2, 3)),
        "hidden": hidden,
        "mlp_width": _shape(shapes, "transformer.encoder.layer.0.ffn.fc1.weight")[0],
        "first_channels": rv_decoder[0],
        "decoder_channels": rv_decoder[1],
        "gcem_first_channels": faz_decoder[0],
        "gcem_decoder_channels": faz_decoder[1],
        "lcem_layers": rv_layers,
        "gcem_layers": faz_layers,
        "grid": (side, side),
    }
    return S2ANet(**(fields | known))


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise UserError(f"The S2A-Net checkpoint has no key {name!r}.")
    return shapes[name]
