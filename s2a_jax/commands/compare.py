"""`python -m s2a_jax compare`: several networks under one budget on the same cases."""

import argparse
from pathlib import Path

from s2a_jax.errors import UserError
from s2a_jax.starting import ends_at_once

_ALL = "unet,transunet,jointseg,vaffnet,s2anet"


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its flags."""
    parser = commands.add_parser(
        "compare",
        help="train several networks alike and test their differences",
        description="Trains each network with each seed in a workdir of its own (what is finished "
        "is kept, what was stopped goes on), evaluates all alike on the same cases, tests the "
        "differences, and writes tables and pictures beside the published numbers.",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="as of main.py")
    parser.add_argument("--workdir", required=True, type=Path, metavar="DIR")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--networks", metavar="A,B", help=f"default, without --add: {_ALL}")
    what.add_argument("--preset", choices=("ablation",), help="the parts of S2A-Net")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each; default 1")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field of the configuration: train.epochs=20",
    )
    parser.add_argument(
        "--add",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a finished run, or a folder that evaluate --out wrote, to compare too; one name "
        "several times: its seeds; without --networks and --preset nothing is trained",
    )
    parser.add_argument(
        "--reference", metavar="NAME", help="what is tested against; default: s2anet or the first"
    )


def run(options: argparse.Namespace) -> int:
    """Trains what is missing, evaluates all alike and writes the comparison.

    Returns:
        0; 1 if a run failed (the others are compared); 128 + a signal's number if stopped.

    Raises:
        UserError: a flag, field, folder or data set that cannot be used.
    """
    import sys

    with ends_at_once():
        from rich.console import Console

        from configs import default
        from configs.recipes import resolve
        from s2a_jax.comparison.plan import ablation, make_plan, networks
        from s2a_jax.comparison.runner import train_all
        from s2a_jax.comparison.settings import load_config_file, set_fields
        from s2a_jax.comparison.write import write_comparison

    if options.workdir.exists() and not options.workdir.is_dir():
        raise UserError(f"--workdir={options.workdir} is a file; give a folder.")
    config = load_config_file(options.config)
    set_fields(config, options.set)
    config = resolve(config)
    added = [_added(text) for text in options.add]
    if options.preset:
        variants = ablation(config)
    elif options.networks or not added:
        variants = networks((options.networks or _ALL).split(","))
    else:
        variants = {}
    known = list(dict.fromkeys([*variants, *(name for name, _ in added)]))
    reference = options.reference or ("s2anet" if "s2anet" in known else known[0])
    if reference not in known:
        raise UserError(f"--reference={reference}: expected one of {', '.join(known)}.")
    runs = make_plan(config, variants, options.seeds, options.workdir, default.get_config())
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    code, failed = train_all(runs, options.workdir / "logs", console)
    if code:
        return code
    kept = [run for run in runs if run not in failed]
    write_comparison(options.workdir, kept, added, reference, config.data, console)
    return 1 if failed else 0


def _added(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    path = Path(folder).expanduser()
    if not equals or not name or not path.is_dir():
        raise UserError(f"--add {text}: expected NAME=DIR with the folder of a finished run.")
    return name, path
