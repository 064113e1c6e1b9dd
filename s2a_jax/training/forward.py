"""The forward pass as training runs it: gathered layer by layer, recomputed block by block.

The networks know neither devices nor what is stored for the backward pass. Under fsdp a parameter
enters a network in a box of Linen's, which is opened where a module reads the parameter: there it
is gathered. Each layer is then a checkpoint, so that the whole parameter is dropped after the
layer, and gathered again in the backward pass; nothing else is computed twice, since a layer is
linear in its input.
"""

from collections.abc import Callable, Collection
from typing import Any

import flax.linen as nn
import flax.struct
import jax
from jax import Array, lax
from jax.sharding import Mesh

from s2a_jax.errors import UserError
from s2a_jax.models import decoder, jointseg, resnet, vaffnet, vit
from s2a_jax.models.layers import Conv, ConvTranspose2x2, Dense, DoubleConv, DoublingConv
from s2a_jax.training.sharding import replicated

REMATS = ("none", "blocks")
"""Values of `config.train.remat`."""

_LAYERS = (Conv, ConvTranspose2x2, Dense, DoublingConv)
"""Modules that own the large parameters and are linear in their input."""

_BLOCKS = (
    DoubleConv,
    resnet.Bottleneck,
    vit.Block,
    decoder.DecoderBlock,
    jointseg.FeatureAlignment,
    jointseg.MultiScaleFusion,
    vaffnet.Bottleneck,
    vaffnet.VotingGate,
    vaffnet.Head,
)
"""Modules that remat `blocks` recomputes; none contains another."""


class _Split(flax.struct.PyTreeNode, nn.meta.AxisMetadata):
    """A parameter that lies split over the devices, and is whole where a module reads it.

    The constraint holds for the gradient as well, which is summed over the devices before it is
    split: otherwise XLA splits the products that make it by channels, and moves activations.
    """

    value: Array
    mesh: Mesh = flax.struct.field(pytree_node=False)

    def unbox(self) -> Array:
        """The whole array."""
        return lax.with_sharding_constraint(self.value, replicated(self.mesh))

    def replace_boxed(self, val: Array) -> "_Split":
        """The box with another array."""
        return self.replace(value=val)

    def add_axis(self, index: int, params: dict[Any, Any]) -> "_Split":
        """The box itself, which does not say what axis is split."""
        return self

    def remove_axis(self, index: int, params: dict[Any, Any]) -> "_Split":
        """The box itself."""
        return self


def forward(
    module: nn.Module,
    variables: Any,
    images: Array,
    *,
    mesh: Mesh | None,
    remat: str = "none",
    frozen: Collection[str] = (),
    **options: Any,
) -> Any:
    """`module.apply(variables, images, **options)` on the devices of `mesh`.

    Args:
        module: the network.
        variables: its variables, split as by `sharding.state_shardings`.
        images: [B, H, W, C], split over all devices along B.
        mesh: the devices; None: one.
        remat: `blocks`: keep only what blocks take and return, and compute the rest again in the
            backward pass; `none`: keep everything.
        frozen: top-level modules that compute as in an evaluation: no dropout, running statistics.
        options: those of `apply` and of the network.
    """
    check_remat(remat)
    is_split = mesh is not None and mesh.shape["fsdp"] > 1
    if is_split:
        boxed = jax.tree.map(lambda leaf: _Split(leaf, mesh), variables["params"])
        variables = variables | {"params": boxed}
    open_blocks = set()

    def checkpoint(
        call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
    ) -> Any:
        block, path = context.module, context.module.path
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        if len(path) == 1 and path[0] in frozen:
            kwargs = kwargs | {"train": False}
        if is_split and isinstance(block, _LAYERS):
            return jax.checkpoint(call)(*args, **kwargs)
        if remat == "none" or not isinstance(block, _BLOCKS) or path in open_blocks:
            return call(*args, **kwargs)
        open_blocks.add(path)  # the lifted copy of the block comes here again
        try:
            return nn.remat(lambda lifted, *inputs: lifted(*inputs, **kwargs))(block, *args)
        finally:
            open_blocks.remove(path)

    with nn.intercept_methods(checkpoint):
        return module.apply(variables, images, **options)


def check_remat(remat: str) -> None:
    """Raises a UserError unless `remat` is one of `REMATS`."""
    if remat not in REMATS:
        raise UserError(f"config.train.remat={remat!r}: expected {' or '.join(REMATS)}.")
