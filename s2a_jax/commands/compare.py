"""`compare`: trains several networks alike and tests their differences."""

import argparse
import sys
from pathlib import Path

from s2a_jax.commands.flags import path_flag
from s2a_jax.comparison.folder import LOGS
from s2a_jax.comparison.output import write_comparison
from s2a_jax.comparison.plan import ablation, make_plan, networks
from s2a_jax.comparison.results import read_result
from s2a_jax.comparison.run import train_all
from s2a_jax.config.fields import set_fields
from s2a_jax.config.load import load_config, shipped_names
from s2a_jax.config.recipes import resolve
from s2a_jax.console import make_console
from s2a_jax.errors import UserError
from s2a_jax.models.build import NETWORKS
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.plan import planned

_ALL = ",".join(sorted(NETWORKS, key="s2anet".__eq__))  # S2A-Net last


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Trains each network with each seed in a workdir of its own (finished runs are kept, "
        "stopped ones resume), evaluates all on the same cases, tests the differences, and writes "
        "tables and pictures beside the published numbers. --folds K cross-validates."
    )
    parser.set_defaults(takes_fields=True)
    parser.epilog = "Fields change as for train: --config.train.epochs=20."
    parser.add_argument(
        "--config",
        required=True,
        metavar="FILE",
        help="Python file, or one of {}; FILE:smoke is its shortest run".format(
            ", ".join(shipped_names())
        ),
    )
    parser.add_argument(
        "--workdir", required=True, type=path_flag, metavar="DIR", help="folder of the comparison"
    )
    parser.add_argument(
        "--networks",
        type=lambda text: [name.strip() for name in text.split(",")],
        metavar="A,B",
        help=f"default, without --add: {_ALL}; with --preset: those of its variants",
    )
    parser.add_argument(
        "--preset", choices=("ablation",), help="S2A-Net with one part changed each"
    )
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="runs of each network; default 1"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs at a time, where one small network does not fill the machine; default 1",
    )
    parser.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="cross-validation: K runs of each network and seed, each of which holds out another "
        "K-th of the train and val cases (whole patients, see config.data.patient), never test "
        "cases. The tables show the held-out cases of all folds together",
    )
    parser.add_argument(
        "--add",
        type=_added,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="also compare a finished run, or a folder that evaluate --out wrote; repeat a name "
        "for its seeds. With --add but without --networks and --preset nothing is trained",
    )
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help="network that the others are tested against; default: s2anet, or the first",
    )


def run(options: argparse.Namespace) -> int:
    """Trains the missing runs, evaluates all and writes the comparison.

    Returns:
        0; 1 if a run failed (the others are compared); 128 + a signal's number if stopped.

    Raises:
        UserError: a flag, field, folder or data set that cannot be used.
    """
    if Workdir(options.workdir).is_taken():
        raise UserError(
            f"--workdir={options.workdir} holds a training run; give a comparison another folder, "
            "or move the run's files out of this one."
        )
    config = load_config(options.config)
    set_fields(config, options.fields)
    if options.folds is not None:
        config.data.folds = options.folds
    config, plan = planned(config, _first_run(options.workdir, config.data.folds))
    config = resolve(config)
    if options.jobs < 1:
        raise UserError(f"--jobs={options.jobs}: expected at least 1.")
    if options.folds is not None and options.add:
        raise UserError(
            "--folds: other runs were not evaluated on the held-out cases of all folds; leave out "
            "--add."
        )
    added = options.add
    names = options.networks
    if options.preset:
        variants = ablation(config, names)
    elif names is not None or not added:
        variants = networks(names or _ALL.split(","))
        if unknown := [name for name in variants if name not in NETWORKS]:
            raise UserError(
                f"--networks: {unknown[0]!r} is no network; expected some of {_ALL}, or with "
                "--preset ablation variants of S2A-Net."
            )
    else:
        variants = {}
    known = list(dict.fromkeys([*variants, *(name for name, _ in added)]))
    reference = options.reference or ("s2anet" if "s2anet" in known else known[0])
    if reference not in known:
        raise UserError(f"--reference={reference}: expected one of {', '.join(known)}.")
    for name, folder in added:  # a mistake there should not wait for the end of the training
        read_result(name, 0, folder)
    runs = make_plan(config, variants, options.seeds, options.workdir, options.folds)
    console = make_console(soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    if plan:
        console.print(plan)
    code, failed = train_all(runs, options.workdir / LOGS, console, options.jobs)
    if code:
        return code
    kept = [run for run in runs if run not in failed]
    write_comparison(options.workdir, kept, added, reference, config.data, console)
    return 1 if failed else 0


def _first_run(folder: Path, folds: int) -> Workdir | None:
    """A run that the comparison has begun with as many folds; the others share its plan."""
    runs = (Workdir(path.parent) for path in sorted(folder.glob("*/config.json")))
    begun = (run for run in runs if run.is_taken())
    return next((run for run in begun if run.value("data.folds") == folds), None)


def _added(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (equals and name and folder and path_flag(folder).expanduser().is_dir()):
        raise argparse.ArgumentTypeError(
            f"{text}: expected NAME=DIR with the folder of a finished run"
        )
    return name, Path(folder).expanduser()
