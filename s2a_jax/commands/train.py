"""`train`: trains or evaluates one configuration, or shows what it would train on."""

import argparse
import functools
import sys
from collections.abc import Callable

from ml_collections import ConfigDict
from rich.console import Console

from s2a_jax import processes
from s2a_jax.commands.flags import path_flag
from s2a_jax.comparison.folder import is_of_comparison
from s2a_jax.config.fields import set_fields
from s2a_jax.config.load import load_config, shipped_names
from s2a_jax.config.recipes import resolve
from s2a_jax.console import make_console
from s2a_jax.data.load import data_slabs
from s2a_jax.errors import FullDiskError, UserError
from s2a_jax.report.write import write_report
from s2a_jax.runs.workdir import Workdir
from s2a_jax.signals import run_program
from s2a_jax.training.loop import evaluate_workdir, train
from s2a_jax.training.plan import planned
from s2a_jax.training.preview import write_preview

MODES = ("train", "evaluate", "preview")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.set_defaults(takes_fields=True)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter  # keeps the epilog's lines
    parser.description = "Trains or evaluates one configuration, or shows what it would train on."
    parser.usage = "%(prog)s --config FILE --workdir DIR [--mode MODE] [--config.FIELD=VALUE ...]"
    parser.epilog = f"""\
  --config.SECTION.FIELD=VALUE
                  another value for a field: every field of configs/default.py is
                  such a flag, as --config.train.epochs=20. With --mode=evaluate and
                  without --config it changes the run's own configuration, as
                  --config.eval.protocol=otsu.

examples:
  {parser.prog} --config configs/synthetic.py --workdir runs/demo
  {parser.prog} --mode=evaluate --workdir runs/demo --config.eval.protocol=otsu
"""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration: a Python file such as configs/octa500.py, or one of "
        f"{', '.join(shipped_names())}; FILE:smoke is its shortest run. --mode=evaluate takes the "
        "run's own by default",
    )
    parser.add_argument(
        "--workdir", required=True, type=path_flag, metavar="DIR", help="the folder of the run"
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also write a trace of ten steps to DIR/profile, for XProf or Perfetto",
    )
    several = parser.add_argument_group(
        "several processes, each with some of the devices; SLURM and Open MPI need no flag"
    )
    several.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="address of process 0; auto: JAX asks the cluster, as on Cloud TPU",
    )
    several.add_argument("--processes", type=int, metavar="N", help="their number")
    several.add_argument("--process", type=int, metavar="I", help="which one this is, from 0")
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="train",
        help="train: train or resume, then evaluate and write the report (default); evaluate: "
        "evaluate the network of the workdir again; preview: draw training cases and "
        "augmentations of them to preview.png",
    )


def run(options: argparse.Namespace) -> int:
    """Trains, evaluates or previews.

    Returns:
        The exit code: 0, or 128 + the number of the signal that stopped a run.

    Raises:
        UserError: a flag, field, file or data set that cannot be used.
        NonFiniteLossError: training has diverged.
    """
    if options.profile and options.mode != "train":
        raise UserError(
            f"--profile traces training steps; leave it out with --mode={options.mode}."
        )
    processes.start(options.coordinator, options.processes, options.process)
    with processes.together():
        workdir = Workdir(options.workdir)
        if options.mode == "train" and is_of_comparison(workdir.path):
            raise UserError(
                f"--workdir={options.workdir} holds the runs of a comparison; give a run another "
                "folder, or move the comparison's out of this one."
            )
        config, plan = planned(read_config(options, workdir), workdir)
        config = resolve(config)
    # Tables need their width where the output goes to a file, too.
    console = make_console(
        soft_wrap=True,
        width=None if sys.stdout.isatty() else 110,
        quiet=not processes.is_first(),
    )
    if plan:
        console.print(plan)
    if options.mode == "preview":
        return _preview(config, workdir, console) if processes.is_first() else 0
    work = evaluate_workdir
    if options.mode == "train":
        work = functools.partial(train, profile=options.profile)
    code = run_program(
        lambda: _unless_lost(lambda: work(config, workdir, console)),
        lambda: stopped_sentence(options.mode, workdir),
    )
    if code == 0 and processes.is_first():
        _report(workdir, console)
    processes.finish(code)
    return code


def _unless_lost(work: Callable[[], int]) -> int:
    """Runs `work`; a connection to another process that breaks becomes one sentence."""
    try:
        with processes.announced():
            return work()
    except RuntimeError as error:
        if processes.is_lost(error):
            processes.end_lost(error)
        raise


def read_config(options: argparse.Namespace, workdir: Workdir) -> ConfigDict:
    """The configuration that the flags describe, not resolved.

    Raises:
        UserError: a flag or field that cannot be used, or no configuration at all.
    """
    if options.config is not None:
        config = load_config(options.config)
    elif options.mode == "evaluate":
        # Into the defaults, which know the type of a field that is empty in the run's.
        config = load_config("default")
        try:
            config.update(workdir.load_config())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"The run's configuration {workdir.config} does not have the fields of a "
                f"configuration ({error}); put back a copy of it."
            ) from error
    else:
        raise UserError("--config is missing, for example --config configs/synthetic.py.")
    set_fields(config, options.fields)
    return config


def stopped_sentence(mode: str, workdir: Workdir) -> str:
    """The state of a run that a signal ended anywhere but between two steps."""
    if not workdir.has_checkpoint():
        return "Stopped at once; nothing was saved yet."
    if mode == "evaluate":
        return "Stopped at once; results may be incomplete, the same command writes them again."
    return "Stopped at once; the last checkpoint is complete, the same command resumes from it."


def _preview(config: ConfigDict, workdir: Workdir, console: Console) -> int:
    picture = workdir.path / "preview.png"
    names = write_preview(config, picture)
    slabs = data_slabs(config.data)
    drawn = f" (slab {slabs[0]})" if slabs else ""
    console.print(f"{', '.join(names)}, and three augmentations of each{drawn}: {picture}")
    return 0


def _report(workdir: Workdir, console: Console) -> None:
    """Writes the report of a finished run, which must not make the run itself fail."""
    try:
        console.print(f"Report: {write_report(workdir.path)}")
    except FullDiskError as error:
        console.print(f"The report is missing, everything else is complete. {error}")
    except Exception:  # whatever it is: results and weights are complete
        console.print_exception()
        console.print(
            "The report could not be written; everything else is complete. "
            f"python -m s2a_jax report --workdir {workdir.path} tries again.",
            style="bold yellow",
        )
