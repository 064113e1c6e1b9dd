"""One network in PyTorch and in Flax, with the same weights."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
import torch

from parity.networks import NETWORKS
from s2a_jax.commands.convert import parse_known
from s2a_jax.convert import from_torch
from s2a_jax.convert.arrays import to_numpy
from s2a_jax.convert.files import read_checkpoint
from s2a_jax.convert.torch_weights import state_dict_of
from s2a_jax.errors import UserError
from s2a_jax.models.build import NETWORKS as FLAX_NETWORKS
from s2a_jax.models.fields import field_defaults

_HYBRID = ("width", "units", "groups", "hidden", "num_heads", "mlp_width", "dropout_rate", "grid")
_DECODER = ("first_channels", "decoder_channels")
_TORCH_FIELDS: dict[str, dict[str, str]] = {
    "s2anet": {
        name: name
        for name in (*_HYBRID, *_DECODER, *(f"gcem_{d}" for d in _DECODER), "lcem_layers")
    }
    | {"gcem_layers": "gcem_layers"},
    "unet": {"widths": "widths"},
    "transunet": {name: name for name in (*_HYBRID, *_DECODER, "num_blocks")},
    "jointseg": {"widths": "widths"},
    "vaffnet": {
        "width": "width",
        "units": "layers",
        "pyramid_features": "pyramid",
        "gate_features": "gate",
        "head_features": "head",
        "map_features": "map_width",
        "grid_features": "grid_width",
    },
}
"""Network -> field of the Flax module -> keyword of the PyTorch module."""


class Sides(NamedTuple):
    """A PyTorch module and a Linen module that compute the same function.

    Attributes:
        network: the name of the network.
        torch: the PyTorch module, in inference mode.
        module: the Linen module.
        variables: params and batch_stats of the Linen module, NumPy arrays.
    """

    network: str
    torch: torch.nn.Module
    module: nn.Module
    variables: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose network and weights."""
    parser.add_argument("--network", required=True, choices=sorted(NETWORKS))
    parser.add_argument(
        "--weights",
        type=Path,
        help="PyTorch weights, as convert reads them; default: random weights",
    )
    parser.add_argument(
        "--variant",
        help="size of a network with random weights: base (default), small or tiny",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights; default 0")
    parser.add_argument(
        "--known",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field that the shapes in --weights do not determine, as num_heads=4 (default 12)",
    )
    parser.add_argument(
        "--threads", type=int, help="number of PyTorch threads; default: PyTorch's choice"
    )


def build(options: argparse.Namespace, images: np.ndarray) -> Sides:
    """Build both sides from the flags of `add_arguments`, without dropout.

    With random weights, the running statistics are those of one pass over the images: with the
    initial ones the logits would hardly depend on the image.

    Args:
        options: the parsed flags.
        images: float32 [B, H, W] in [0, 1].

    Raises:
        UserError: a flag or file that cannot be used.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    known = parse_known(options.known)
    if options.weights is not None:
        if options.variant is not None:
            raise UserError(
                "--variant is for random weights; --weights set the size: give one of the two."
            )
        return from_state_dict(options.network, read_checkpoint(options.weights), known)
    if known:
        raise UserError("--known is for --weights; for random weights, give --variant.")
    variants, variant = FLAX_NETWORKS[options.network].variants, options.variant or "base"
    if variant not in variants:
        raise UserError(f"--variant={variant}: expected one of {', '.join(variants)}.")
    fields = dict(variants[variant])
    if options.network in ("s2anet", "transunet"):
        height, width = images.shape[1:]
        fields |= {"grid": (height // 16, width // 16), "dropout_rate": 0.0}
        not_in_shapes = ("num_heads", "groups", "grid")  # the grid is, if it is square
        known = {name: fields[name] for name in not_in_shapes if name in fields}
    reference = torch_network(options.network, fields)
    _fit_statistics(reference, options.network, images)
    return _pair(options.network, reference, known)


def torch_network(network: str, fields: Mapping[str, Any]) -> torch.nn.Module:
    """The PyTorch module with the hyper-parameters of a Linen module, and random weights.

    Args:
        network: the name of the network.
        fields: those of the Linen module, of which some may be missing; both sides have the same
            defaults.
    """
    keywords, defaults = _TORCH_FIELDS[network], field_defaults(FLAX_NETWORKS[network])
    return NETWORKS[network](
        **{
            keywords[name]: value
            for name, value in fields.items()
            if name in keywords and value != defaults[name]
        }
    )


def from_state_dict(network: str, checkpoint: Any, known: dict[str, Any]) -> Sides:
    """Build both sides with the weights in a PyTorch checkpoint.

    Raises:
        UserError: the weights are not those of the network.
    """
    state = {name: to_numpy(t) for name, t in state_dict_of(network, checkpoint).items()}
    from_torch(network, state, **known)  # raises if a key is missing or extra
    shapes = {name: tuple(array.shape) for name, array in state.items()}
    reference = NETWORKS[network](
        **NETWORKS[network].hyper_parameters(shapes, **known | _no_dropout(network))
    )
    reference.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    return _pair(network, reference, known)


def inputs(network: str, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Arguments of a PyTorch network for grey images [B, H, W]: one or three of [B, 3, H, W]."""
    rgb = images[:, None].expand(-1, 3, -1, -1)
    return (rgb, rgb, rgb) if network == "vaffnet" else (rgb,)


def _fit_statistics(reference: torch.nn.Module, network: str, images: np.ndarray) -> None:
    """Set the running statistics to those of one batch, by a pass in training mode."""
    norms = [m for m in reference.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a cumulative average, which starts with this batch
    with torch.no_grad():
        reference.train()(*inputs(network, torch.from_numpy(images)))
    for norm in norms:
        norm.momentum = 0.1


def _pair(network: str, reference: torch.nn.Module, known: dict[str, Any]) -> Sides:
    # Copies, because a state dict shares memory with the module, which may be trained.
    state = {
        name: tensor.clone()
        for name, tensor in reference.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    module, variables = from_torch(network, state, **known | _no_dropout(network))
    return Sides(network, reference.eval(), module, variables)


def _no_dropout(network: str) -> dict[str, float]:
    return {"dropout_rate": 0.0} if network in ("s2anet", "transunet") else {}
