"""`convert`: weights files from PyTorch to this package and back."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from s2a_jax.commands.flags import path_flag
from s2a_jax.convert.files import WRITTEN, read_checkpoint, write_state_dict
from s2a_jax.convert.torch_weights import from_torch, missing_from, to_torch
from s2a_jax.convert.weights import (
    Description,
    check_variables,
    is_ours,
    module_fields,
    read_weights,
    save_weights,
)
from s2a_jax.errors import UserError
from s2a_jax.models.build import NETWORKS, build_network


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Convert PyTorch weights (any file of torch.save, such as .pth, .pt, .ckpt, .pth.tar or "
        ".bin; .safetensors, .npz) to this package's weights (.safetensors), or the other way "
        "round. No code in a file is run."
    )
    parser.add_argument("--network", help=f"one of {', '.join(NETWORKS)}")
    parser.add_argument(
        "--from", required=True, type=path_flag, dest="source", metavar="FILE", help="file to read"
    )
    parser.add_argument(
        "--to", required=True, type=path_flag, dest="target", metavar="FILE", help="file to write"
    )
    parser.add_argument(
        "--known",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field that shapes do not determine: num_heads=4 (default 12), groups=8 "
        """(default 32), slabs='["FULL", "OPL_BM"]' (default: one slab as three equal channels)""",
    )
    parser.add_argument(
        "--which",
        metavar="NAME",
        help="the weights to take from a file that holds several, as state_dict_ema (default: the "
        "only ones that are no average)",
    )
    parser.add_argument(
        "--template",
        type=path_flag,
        metavar="FILE",
        help="to PyTorch: weights of the original network, whose unused keys are written too, so "
        "that load_state_dict needs no strict=False",
    )


def run(options: argparse.Namespace) -> None:
    """Converts one file.

    Raises:
        UserError: a file, name or flag that cannot be used; nothing is written.
    """
    known = parse_known(options.known)
    print(
        convert(
            options.network,
            options.source,
            options.target,
            known,
            which=options.which,
            template=options.template,
        )
    )


def convert(
    network: str | None,
    source: Path,
    target: Path,
    known: Mapping[str, Any],
    *,
    which: str | None = None,
    template: Path | None = None,
) -> str:
    """Converts one file, from PyTorch unless this package wrote `source`.

    Args:
        network: its name; needed for PyTorch's files only, which do not hold it.
        source: a weights file of this package, or PyTorch weights, see `read_checkpoint`.
        target: the file to write: .safetensors from PyTorch, any of the four suffixes to PyTorch.
        known: fields that shapes do not determine, see `from_torch`.
        which: from PyTorch: the weights to take where there are several, see `state_dict_of`.
        template: to PyTorch: weights of the original network, see `to_torch`.

    Returns:
        Sentences about the file written.

    Raises:
        UserError: a file or name that cannot be used; nothing is written.
    """
    if not source.is_file():
        what = "is a folder; pass a file in it" if source.is_dir() else "no such file"
        raise UserError(f"--from={source}: {what}.")
    if target.suffix.lower() not in WRITTEN:
        raise UserError(f"--to={target}: expected a file that ends in {', '.join(WRITTEN)}.")
    if is_ours(source):
        described, variables = read_weights(source)
        if network not in (None, described.network):
            raise UserError(
                f"--network={network}: {source} holds weights of {described.network}; "
                "omit the flag."
            )
        if known:
            raise UserError(f"--known is for PyTorch's files; {source} holds its fields.")
        if which is not None:
            raise UserError(f"--which is for PyTorch's files; {source} holds one set of weights.")
        try:
            module = build_network(described.network, described.fields)
            check_variables(module, variables, described.network)
        except UserError as error:
            raise UserError(f"{source} cannot be used: {error}") from error
        original = None if template is None else read_checkpoint(template)
        state = to_torch(described.network, variables, original)
        write_state_dict(target, state)
        done = f"{described.network}: {len(state)} arrays under PyTorch's names -> {target}"
        missing = missing_from(described.network)
        if template is not None or not missing:
            return done
        return (
            f"{done}\nThe original also has keys that this package does not use, "
            f"{', '.join(missing)}: load the file with load_state_dict(..., strict=False), or pass "
            "--template FILE, weights of the original, to write them too."
        )
    if template is not None:
        raise UserError(f"--template is for weights of this package; {source} holds PyTorch's.")
    if network is None:
        raise UserError(
            f"--network is missing: PyTorch's files do not name theirs; set one of "
            f"{', '.join(NETWORKS)}."
        )
    if target.suffix.lower() != ".safetensors":
        raise UserError(f"--to={target}: expected .safetensors, as this package's weights are.")
    module, variables = from_torch(network, read_checkpoint(source), which=which, **known)
    fields = module_fields(module)
    doubles = sum(leaf.dtype == np.float64 for leaf in jax.tree.leaves(variables))
    variables = jax.tree.map(lambda leaf: leaf.astype(np.float32), variables)
    save_weights(target, Description(network, fields), variables)
    rounded = f" ({doubles} arrays of float64 rounded to float32)" if doubles else ""
    return f"{network} {fields} -> {target}{rounded}"


def parse_known(pairs: Sequence[str]) -> dict[str, Any]:
    """`["num_heads=4", "grid=[2, 3]"]` -> {"num_heads": 4, "grid": (2, 3)}.

    Raises:
        UserError: an entry is not NAME=VALUE with a JSON value.
    """
    known = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            value = json.loads(text)
        except ValueError as error:  # also without an equals sign: the text is empty then
            raise UserError(f"--known {pair}: expected NAME=VALUE, like num_heads=4.") from error
        known[name] = tuple(value) if isinstance(value, list) else value
    return known
