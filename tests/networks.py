"""Networks in place of trained ones: with known outputs, or small and with drawn weights.

And one of every kind of layer, for what does not depend on the network.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from s2a_jax.analysis.model import S2ANet
from s2a_jax.inference import batches, segmenter
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.models.layers import BatchNorm, Conv, Dense, DoublingConv


class Small(nn.Module):
    """Strides, all kinds of norms, dropout, a doubled map with its skip, and two heads.

    Three of its arrays are large enough to be split.
    """

    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        skip = nn.relu(BatchNorm(name="batch_norm")(Conv(16, 3, padding=1)(x), train=train))
        x = nn.GroupNorm(4, name="group_norm")(Conv(32, 3, strides=2, padding=1)(skip))
        x = nn.LayerNorm(name="layer_norm")(Dense(64)(x))
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(nn.gelu(x))
        logits = Conv(2, 1)(nn.relu(DoublingConv(16)(x, skip)))
        return {"rv": logits[..., :1], "faz": logits[..., 1:]}


def intensity(_, images, *, module):
    """Vessels by the intensity, the FAZ by its square; of several slabs the first counts."""
    images = images if images.ndim == 3 else images[..., 0]
    return {"rv": images, "faz": images**2}


def uneven(_, images, *, module):
    """Vessels are bright and left of column 40 of what the network sees, the FAZ dark and left of
    column 20; of several slabs the first counts."""
    images = images if images.ndim == 3 else images[..., 0]
    columns = jnp.arange(images.shape[2])[None, None]
    return {"rv": images * (columns < 40), "faz": (1 - images) * (columns < 20)}


def put_in_place(monkeypatch, predict_step):
    """Makes every network compute `predict_step(variables, images, module=...)`."""
    for module in (segmenter, batches):
        monkeypatch.setattr(module, "predict_step", predict_step)
    # It traces the network of the weights, which takes longer than the rest of a command.
    monkeypatch.setattr(segmenter, "check_variables", lambda *_: None)


def drawn_unet(slabs=()):
    """A narrow U-Net that answers differently everywhere; nothing is compiled to make it."""
    fields = network_fields({"name": "unet", "variant": "tiny", "dtype": "float32"}, 32, slabs)
    fields["widths"] = (4, 4, 6, 6, 8)
    variables = drawn_variables(build_network("unet", fields), (1, 32, 32, len(slabs) or 1))
    return S2ANet("unet", fields, variables)


def drawn_variables(module, shape):
    """Variables for images of this shape [B, H, W, C], drawn without compiling anything."""
    rng = np.random.default_rng(0)
    image = jax.ShapeDtypeStruct(shape, np.float32)
    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)

    def drawn(path, leaf):
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        spread = math.sqrt(2 / max(1, math.prod(leaf.shape[:-1])))
        return rng.normal(0, spread, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(drawn, shapes)
