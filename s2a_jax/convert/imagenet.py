"""ImageNet-21k weights of R50+ViT-B/16 for the hybrid encoder of S2A-Net and TransUNet.

The file is `R50+ViT-B_16.npz` of Google Research's Vision Transformer (Apache 2.0):
https://storage.googleapis.com/vit_models/imagenet21k/R50+ViT-B_16.npz
Its arrays have Flax's layout and the names of the original JAX implementation.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from s2a_jax.convert.files import read_npz
from s2a_jax.convert.names import Rule
from s2a_jax.convert.positions import positions_on
from s2a_jax.errors import UserError

_BLOCK = r"Transformer/encoderblock_\1/"
_RULES: tuple[Rule, ...] = (
    (r"^resnet/root_(conv|gn)/", r"\1_root/"),
    (r"^resnet/block(\d)_unit(\d+)/downsample/", r"block\1/unit\2/conv_proj/"),
    (r"^resnet/block(\d)_unit(\d+)/", r"block\1/unit\2/"),
    (r"^transformer/patch_embedding/", "embedding/"),
    (r"^transformer/position_embedding$", "Transformer/posembed_input/pos_embedding"),
    (r"^transformer/norm/", "Transformer/encoder_norm/"),
    (r"^transformer/block_(\d+)/attention_norm/", _BLOCK + "LayerNorm_0/"),
    (r"^transformer/block_(\d+)/attention/", _BLOCK + "MultiHeadDotProductAttention_1/"),
    (r"^transformer/block_(\d+)/mlp_norm/", _BLOCK + "LayerNorm_2/"),
    (r"^transformer/block_(\d+)/fc1/", _BLOCK + "MlpBlock_3/Dense_0/"),
    (r"^transformer/block_(\d+)/fc2/", _BLOCK + "MlpBlock_3/Dense_1/"),
)

logger = logging.getLogger(__name__)


def pretrained_encoder(
    path: Path, shapes: Mapping[str, tuple[int, ...]], grid: tuple[int, int], num_heads: int
) -> dict[str, np.ndarray]:
    """Reads values for all parameters of a hybrid encoder.

    The class token's position embedding is dropped, the others are resized bilinearly. Arrays
    beyond the encoder (the classifier, blocks that are not built) are left out with a log message.

    Args:
        path: the npz file.
        shapes: path of every parameter below `params/encoder`, for example
            `resnet/root_conv/kernel` -> shape.
        grid: (h, w) of the encoder's position embeddings.
        num_heads: heads of its attention.

    Returns:
        The same paths -> float32 arrays.

    Raises:
        UserError: the file cannot be read, lacks an array or has it in another shape.
    """
    # Both spellings are in circulation: block1/unit1 and block1/unit01.
    arrays = {re.sub(r"/unit0+", "/unit", name): array for name, array in read_npz(path).items()}
    values = {}
    for name, shape in shapes.items():
        theirs = name
        for pattern, replacement in _RULES:
            theirs = re.sub(pattern, replacement, theirs)
        if theirs not in arrays:
            raise UserError(
                f"config.model.pretrained={path} has no array {theirs!r}: expected ImageNet-21k "
                "weights of R50+ViT-B/16 under their original names."
            )
        array = arrays.pop(theirs).astype(np.float32)
        if name.endswith("position_embedding"):
            array = _positions(array, grid, path)
        # In the file heads have their own axis, and scales of group norms have an image's rank.
        is_projection = "/attention/" in name and name.endswith("/kernel")
        has_other_heads = is_projection and array.shape[0 if "/out/" in name else 1] != num_heads
        if array.size != np.prod(shape) or has_other_heads:
            raise UserError(
                f"config.model.pretrained={path}: {theirs!r} has shape {array.shape}, which does "
                f"not fit {shape} in {num_heads} heads of this network; ImageNet weights are for "
                "variant=base."
            )
        values[name] = array.reshape(shape)
    if arrays:
        parts = sorted({"/".join(name.split("/")[:2]) for name in arrays})
        logger.warning("Left out %d arrays of %s: %s", len(arrays), path.name, ", ".join(parts))
    return values


def _positions(array: np.ndarray, grid: tuple[int, int], path: Path) -> np.ndarray:
    """[1, 1 + n * n, D] with the class token first -> [1, h * w, D]."""
    side = round((array.shape[1] - 1) ** 0.5)
    if array.ndim != 3 or side * side + 1 != array.shape[1]:
        raise UserError(
            f"config.model.pretrained={path}: position embeddings of shape {array.shape} are not a "
            "class token and a square grid."
        )
    return positions_on(array[:, 1:], (side, side), grid)


def encoder_shapes(params: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Path below `encoder` -> shape, from a network's parameters or their shapes."""
    leaves = jax.tree_util.tree_leaves_with_path(params["encoder"])
    return {"/".join(key.key for key in path): leaf.shape for path, leaf in leaves}
