"""`convert`: weights files from PyTorch's names to ours and back."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s2a_jax.convert.files import SUFFIXES, read_state_dict, write_state_dict
from s2a_jax.convert.torch_weights import from_torch, to_torch
from s2a_jax.convert.weights import is_ours, load_weights, module_fields, save_weights
from s2a_jax.errors import UserError


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Reads a state dict of PyTorch (.pth, .pt, .safetensors, .npz) and writes this "
        "package's weights (.safetensors), or the other way round."
    )
    parser.add_argument("--network", help="s2anet, unet, transunet, jointseg or vaffnet")
    parser.add_argument("--from", required=True, type=Path, dest="source", metavar="FILE")
    parser.add_argument("--to", required=True, type=Path, dest="target", metavar="FILE")
    parser.add_argument(
        "--known",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field that shapes do not tell: num_heads=4 (default 12), groups=8 (default 32), "
        """slabs='["FULL", "OPL_BM"]' (default: one slab as three equal channels)""",
    )


def run(options: argparse.Namespace) -> None:
    """Converts one file.

    Raises:
        UserError: a file, name or flag that cannot be used; nothing is written then.
    """
    known = parse_known(options.known)
    print(convert(options.network, options.source, options.target, known))


def convert(network: str | None, source: Path, target: Path, known: Mapping[str, Any]) -> str:
    """Converts one file; the direction is told by what `source` is.

    Args:
        network: its name; needed only for files of PyTorch, which do not tell it.
        source: a weights file of this package, or a state dict of PyTorch (.pth, .pt,
            .safetensors, .npz).
        target: the file to write: ours (.safetensors) from PyTorch; any of the formats from ours.
        known: fields that shapes do not tell, see `from_torch`.

    Returns:
        A sentence about what was written.

    Raises:
        UserError: a file or name that cannot be used; nothing is written then.
    """
    if not source.is_file():
        what = "is a folder; give a file in it" if source.is_dir() else "no such file"
        raise UserError(f"--from={source}: {what}.")
    if target.suffix.lower() not in SUFFIXES:
        raise UserError(f"--to={target}: expected a file that ends in {', '.join(SUFFIXES)}.")
    if is_ours(source):
        name, _, variables = load_weights(source)
        if network not in (None, name):
            raise UserError(f"--network={network}, but {source} holds weights of {name}.")
        if known:
            raise UserError("--known is for files of PyTorch; this one tells its fields itself.")
        state = to_torch(name, variables)
        write_state_dict(target, state)
        return f"{name}: {len(state)} arrays under PyTorch's names -> {target}"
    if network is None:
        raise UserError("--network is missing: files of PyTorch do not tell which network it is.")
    if target.suffix.lower() != ".safetensors":
        raise UserError(f"--to={target}: this package's weights are .safetensors files.")
    module, variables = from_torch(network, read_state_dict(source), **known)
    fields = module_fields(module)
    save_weights(target, network, fields, variables)
    return f"{network} {fields} -> {target}"


def parse_known(pairs: Sequence[str]) -> dict[str, Any]:
    """`["num_heads=4", "grid=[2, 3]"]` -> {"num_heads": 4, "grid": (2, 3)}.

    Raises:
        UserError: something that is not NAME=VALUE with a JSON value.
    """
    known = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            value = json.loads(text)
        except ValueError as error:
            raise UserError(f"--known {pair}: expected NAME=VALUE, as num_heads=4.") from error
        if not equals:
            raise UserError(f"--known {pair}: expected NAME=VALUE, as num_heads=4.")
        known[name] = tuple(value) if isinstance(value, list) else value
    return known
