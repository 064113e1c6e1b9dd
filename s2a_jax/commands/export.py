"""`export`: a trained network as one file for other runtimes."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax

from s2a_jax.commands.flags import path_flag
from s2a_jax.convert.weights import Description
from s2a_jax.errors import UserError
from s2a_jax.export.check import SHAPES, check_exported
from s2a_jax.export.onnx import write_onnx
from s2a_jax.export.stablehlo import write_stablehlo
from s2a_jax.files import written_whole
from s2a_jax.inference.runtimes import is_exported, open_exported
from s2a_jax.inference.segmenter import Segmenter

_Writer = Callable[[Path, Description, Mapping[str, Any]], None]

WRITERS: Mapping[str, _Writer] = MappingProxyType(
    {".stablehlo": write_stablehlo, ".onnx": write_onnx}
)
"""Suffix of a file -> what writes it."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Writes a trained network with its weights as one file, for images of any number and any "
        "size in multiples of 16 pixels: StableHLO, which JAX alone runs on CPU, GPU and TPU, or "
        "ONNX, for ONNX Runtime and OpenVINO (needs a checkout and its extra: "
        "pip install -e '.[export]'). The file is compared with the network, and not written if "
        "any probability differs. predict and the other commands take it as --weights."
    )
    parser.add_argument(
        "--weights",
        required=True,
        type=path_flag,
        help="workdir, checkpoint, .safetensors file, or sim_to_real, which ships with the package",
    )
    parser.add_argument(
        "--to",
        required=True,
        type=path_flag,
        dest="target",
        metavar="FILE",
        help=f"file to write; its suffix says what: {' or '.join(WRITERS)}",
    )


def run(options: argparse.Namespace) -> None:
    """Exports one network.

    Raises:
        UserError: a file or flag that cannot be used, a package is missing, or the file computes
            something else than the network; nothing is written.
    """
    weights, target = options.weights, options.target
    write = WRITERS.get(target.suffix.lower())
    if write is None:
        raise UserError(f"--to={target}: expected a file that ends in {' or '.join(WRITERS)}.")
    if target.is_dir():
        raise UserError(f"--to={target} is a folder: give the name of a file.")
    if is_exported(weights):
        raise UserError(
            f"--weights={weights} is exported already: pass the weights that it was made of."
        )
    model = Segmenter.load_from_checkpoint(weights)
    description, variables = model.description, jax.device_get(model.variables)
    if write is write_onnx:  # which computes in float32 whatever the network was trained in
        description = description._replace(fields=description.fields | {"dtype": "float32"})
    with written_whole(target) as partial:
        write(partial, description, variables)
        compute = open_exported(partial).compute
        difference = check_exported(compute, description, variables, target)
        size = partial.stat().st_size / 1e6
    print(
        f"{description.network} -> {target} ({size:.1f} MB); its probabilities differ from the "
        f"original's by at most {difference:.1g} on {len(SHAPES)} sizes of image and batch."
    )
