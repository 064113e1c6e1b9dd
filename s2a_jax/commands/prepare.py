"""`prepare`: check a data set and store it as TFDS files."""

import argparse

from s2a_jax.commands.flags import fields_as_flags, path_flag
from s2a_jax.data.prepared.prepare import prepare, prepare_synthetic
from s2a_jax.data.sets import DATA_SETS, help_on_names, help_on_subsets
from s2a_jax.data.splits import Wanted
from s2a_jax.data.synthetic import FIELD_MM
from s2a_jax.errors import UserError

_COUNTS = {"train": 96, "val": 8, "test": 24}
_FLAGS = {
    **{name: f"--{name}" for name in ("slab", "subset", "incomplete", "size")},
    **{f"synthetic.{name}": f"--{name}" for name in ("seed", *_COUNTS)},
    "synthetic.field_mm": "--field",
    "root": "--from",
    "train_split": "--train-split",
    "name": "NAME",
}
"""Field of `config.data` -> flag of this command."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Reads a raw folder, reports what it holds (masks, doubtful ones, duplicates, "
        "unreadable files) and writes it as a TFDS data set. An existing data set is not written "
        "again. Run the same command again to resume one that was stopped."
    )
    parser.add_argument("name", choices=tuple(DATA_SETS), help=help_on_names())
    parser.add_argument("--from", type=path_flag, dest="raw", metavar="RAW", help="the raw folder")
    parser.add_argument(
        "--to", required=True, type=path_flag, dest="target", metavar="DIR",
        help="folder of all prepared data sets",
    )  # fmt: skip
    parser.add_argument("--subset", help=help_on_subsets())
    parser.add_argument(
        "--slab", help="as config.data.slab, one or several; default: the superficial one"
    )
    parser.add_argument(
        "--incomplete", choices=("error", "skip"), default="error",
        help="stop at a case that lacks one of several slabs, or skip it; default error",
    )  # fmt: skip
    parser.add_argument(
        "--train-split", default="train", metavar="NAME",
        help="the split folder that holds the training cases, such as train_manual; default train",
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
        help="the side of the field of view is drawn between these, {:g} to {:g} mm; "
        "default 3 3".format(*FIELD_MM),
    )
    for split, count in _COUNTS.items():
        eyes.add_argument(f"--{split}", type=int, default=count, help=f"default {count}")


def run(options: argparse.Namespace) -> None:
    """Prepares one data set.

    Raises:
        UserError: a flag, folder or file cannot be used.
    """
    is_made = DATA_SETS[options.name].make is not None
    if not is_made and options.raw is None:
        raise UserError("--from is missing: give the raw folder.")
    if is_made and options.raw is not None:
        raise UserError("--from: synthetic eyes are generated; leave it out.")
    if is_made:
        counts = {split: getattr(options, split) for split in _COUNTS}
        field = tuple(options.field)
        with fields_as_flags(_FLAGS):
            prepare_synthetic(
                options.target, options.size, options.seed, field, counts, options.slab
            )
        return
    with fields_as_flags(_FLAGS):
        prepare(
            options.name,
            options.raw,
            options.target,
            options.subset,
            options.slab,
            options.skip_unreadable,
            Wanted(train_split=options.train_split, skip_incomplete=options.incomplete == "skip"),
        )
