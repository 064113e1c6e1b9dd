"""`python -m s2a_jax prepare`: check a data set and store it as TFDS files."""

import argparse
from pathlib import Path

from s2a_jax.commands.flags import fields_as_flags
from s2a_jax.data.pitch import SYNTHETIC_FIELD_MM
from s2a_jax.data.prepared.prepare import prepare, prepare_synthetic
from s2a_jax.errors import UserError

_FLAGS = {name: f"--{name}" for name in ("slab", "subset", "incomplete")} | {"root": "--from"}
"""Field of `config.data` -> what it is called here."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Reads a raw folder, reports what it holds (masks, prevalence, duplicates, "
        "unreadable files) and writes it as a TFDS data set. A data set that is there already is "
        "not written again; one that was stopped is gone on with by the same command."
    )
    parser.add_argument("name", choices=("octa500", "rose", "folder", "synthetic"))
    parser.add_argument("--from", type=Path, dest="source", metavar="RAW", help="the raw folder")
    parser.add_argument("--to", required=True, type=Path, dest="target", metavar="DIR")
    parser.add_argument("--subset", help="of octa500: 3M or 6M; of rose: 1, 2, O, Z or H")
    parser.add_argument(
        "--slab", help="as config.data.slab, one or several; default: the superficial one"
    )
    parser.add_argument(
        "--incomplete", choices=("error", "skip"), default="error",
        help="what to do about a case that lacks one of several slabs; default error",
    )  # fmt: skip
    parser.add_argument("--skip-unreadable", action="store_true", help="leave such cases out")
    eyes = parser.add_argument_group("synthetic eyes")
    eyes.add_argument("--size", type=int, default=304, help="pixels; default 304")
    eyes.add_argument("--seed", type=int, default=0)
    eyes.add_argument(
        "--field",
        type=float,
        nargs=2,
        default=(3.0, 3.0),
        metavar=("LOW", "HIGH"),
        help="sides of the field of view, drawn between these, {:g} to {:g} mm; default 3 3".format(
            *SYNTHETIC_FIELD_MM
        ),
    )
    for split, count in (("train", 96), ("val", 8), ("test", 24)):
        eyes.add_argument(f"--{split}", type=int, default=count, help=f"default {count}")


def run(options: argparse.Namespace) -> None:
    """Prepares one data set.

    Raises:
        UserError: a flag, folder or file that cannot be used.
    """
    if options.name != "synthetic" and options.source is None:
        raise UserError("--from is missing: the raw folder.")
    if options.name == "synthetic" and options.source is not None:
        raise UserError("--from: synthetic eyes are made, not read; leave it out.")
    if options.name == "synthetic":
        counts = {split: getattr(options, split) for split in ("train", "val", "test")}
        field = tuple(options.field)
        with fields_as_flags(_FLAGS):
            prepare_synthetic(
                options.target, options.size, options.seed, field, counts, options.slab
            )
        return
    with fields_as_flags(_FLAGS):
        prepare(
            options.name,
            options.source,
            options.target,
            options.subset,
            options.slab,
            options.skip_unreadable,
            options.incomplete == "skip",
        )
