"""`python -m s2a_jax convert`: PyTorch weights in and out."""

import argparse
from pathlib import Path

from s2a_jax.starting import ends_at_once


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its flags."""
    parser = commands.add_parser(
        "convert",
        help="PyTorch weights in and out",
        description="Reads a state dict of PyTorch (.pth, .pt, .safetensors, .npz) and writes this "
        "package's weights (.safetensors), or the other way round.",
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
    with ends_at_once():
        from s2a_jax.convert.command import convert, parse_known

    known = parse_known(options.known)
    print(convert(options.network, options.source, options.target, known))
