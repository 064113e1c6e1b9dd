"""Write a network as ONNX, by way of its PyTorch module.

    python -m parity.export WEIGHTS FILE KEY

WEIGHTS is a .safetensors file of s2a_jax, FILE the ONNX file, and KEY the entry of its metadata
that gets the network's description. `python -m s2a_jax export` runs this, and checks the file.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from parity.networks.resnet_v2 import StdConv2d
from parity.sides import inputs, torch_network
from s2a_jax.convert import to_torch
from s2a_jax.convert.weights import Description, read_weights
from s2a_jax.errors import UserError
from s2a_jax.signals import leave, run_program

OPSET = 20  # the first with GELU
SIDES = (2, 512)
"""Smallest and largest side of an image, in multiples of 16 pixels."""


class Probabilities(nn.Module):
    """A network from grey images to probabilities.

    Args:
        network: Name of the network.
        module: The network.
        tasks: The tasks to return, of `rv` and `faz`.
    """

    def __init__(self, network: str, module: nn.Module, tasks: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.module, self.tasks = network, module, tasks

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map [B, H, W] or [B, H, W, 3] in [0, 1] to one [B, H, W] in [0, 1] for each task."""
        if image.ndim == 3:
            arguments = inputs(self.network, image)
        elif self.network == "vaffnet":
            arguments = tuple(slab[:, None].expand(-1, 3, -1, -1) for slab in image.unbind(-1))
        else:
            arguments = (image.permute(0, 3, 1, 2),)
        logits = self.module(*arguments)
        return tuple(logits[task][:, 0].sigmoid() for task in self.tasks)


def probabilities(description: Description, variables: Mapping[str, Any]) -> Probabilities:
    """Make a network in PyTorch, in inference mode, with its weights standardised already.

    Args:
        description: The network.
        variables: Its Flax variables.

    Raises:
        UserError: the network does not exist in PyTorch.
    """
    network, fields = description.network, description.fields
    slabs = fields.get("slabs", ())
    if len(slabs) not in (0, 3):
        raise UserError(
            f"{network} takes {len(slabs)} slabs, and its PyTorch module one or three: ONNX cannot "
            "be written; write a .stablehlo file instead."
        )
    module = torch_network(
        network, {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    )
    state = to_torch(network, variables)
    # Keys that are missing are counters, or parts that no output depends on.
    module.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    standardise(module)
    return Probabilities(network, module, description.tasks).eval()


def export(weights: Path, target: Path, key: str) -> None:
    """Write the ONNX file.

    Args:
        weights: A file of `save_weights`.
        target: The file to write.
        key: Entry of the metadata that gets the description as JSON.

    Raises:
        UserError: as for `probabilities`.
    """
    description, variables = read_weights(weights)
    slabs = description.fields.get("slabs", ())
    height, width = (torch.export.Dim(name, min=SIDES[0], max=SIDES[1]) for name in "hw")
    sizes = {0: torch.export.Dim("b"), 1: 16 * height, 2: 16 * width}
    with torch.no_grad():
        program = torch.onnx.export(
            probabilities(description, variables),
            (torch.rand(2, 64, 96, *[3] * bool(slabs)),),
            dynamo=True,
            input_names=["image"],
            output_names=list(description.tasks),
            dynamic_shapes=(sizes,),
            opset_version=OPSET,
        )
    proto = program.model_proto
    onnx.helper.set_model_props(proto, {key: json.dumps(description.stored())})
    onnx.save(proto, target)


def standardise(module: nn.Module) -> None:
    """Replace convolutions with weight standardisation by plain ones of standardised weights."""
    for name, child in module.named_children():
        if isinstance(child, StdConv2d):
            plain = nn.Conv2d(
                child.in_channels,
                child.out_channels,
                child.kernel_size,
                child.stride,
                child.padding,
                bias=child.bias is not None,
            )
            plain.load_state_dict(child.state_dict() | {"weight": child.standardised()})
            setattr(module, name, plain)
        else:
            standardise(child)


def main() -> None:
    """Write one file."""
    parser = argparse.ArgumentParser(
        prog="python -m parity.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights", type=Path, metavar="WEIGHTS")
    parser.add_argument("target", type=Path, metavar="FILE")
    parser.add_argument("key", metavar="KEY")
    options = parser.parse_args()
    export(options.weights, options.target, options.key)


if __name__ == "__main__":
    leave(run_program(main))
