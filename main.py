"""Trains or evaluates one configuration, or shows what it would train on; `--help` tells more.

python main.py --config configs/octa500.py --workdir runs/octa500
python main.py --mode=evaluate --workdir runs/octa500
python main.py --mode=preview --config configs/octa500.py --workdir runs/octa500
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from s2a_jax.errors import UserError, exit_code
from s2a_jax.starting import ends_at_once, interrupts, leave

if TYPE_CHECKING:  # imported where a signal can end that
    from rich.console import Console

    from configs.command_line import Request
    from s2a_jax.training.workdir import Workdir


def main(argv: list[str]) -> int:
    """Runs one command line; returns the exit code, 2 for a user's mistake, 128 + the
    signal's number if stopped."""
    with ends_at_once():
        from configs.command_line import USAGE, asks_for_help, parse
    if asks_for_help(argv):
        print(USAGE, end="")
        return 0
    request = None
    try:
        request = parse(argv)
        return _run(request)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(_stopped(request), file=sys.stderr)
        return exit_code(stop)


def _run(request: "Request") -> int:
    """Does what is asked for; only here JAX is imported."""
    with ends_at_once():
        import jax
        from rich.console import Console

        from configs.recipes import resolve
        from s2a_jax.data.datasets import data_slabs
        from s2a_jax.training.loop import NonFiniteLossError, evaluate_workdir, train
        from s2a_jax.training.preview import write_preview
    if jax.config.jax_compilation_cache_dir is None:  # a resumed run need not compile again
        cache = Path.home() / ".cache" / "s2a_jax" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    # Tables need their width where the output goes to a file, too.
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 110)
    config, workdir = resolve(request.config), request.workdir
    if request.mode == "preview":
        picture = workdir.path / "preview.png"
        names = write_preview(config, picture)
        slabs = data_slabs(config.data)
        drawn = f" (the slab {slabs[0]})" if slabs else ""
        console.print(f"{', '.join(names)}, and three augmentations of each{drawn}: {picture}")
        return 0
    if request.mode == "evaluate":
        return _report(evaluate_workdir(config, workdir, console), workdir, console)
    try:
        return _report(train(config, workdir, console), workdir, console)
    except NonFiniteLossError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _report(code: int, workdir: "Workdir", console: "Console") -> int:
    """Writes the report of a run that ended with `code` 0; returns the code."""
    if code == 0:
        from configs.recipes import defaults_of
        from s2a_jax.analysis.report import write_report

        try:
            console.print(f"Report: {write_report(workdir.path, defaults=defaults_of)}")
        except Exception:  # whatever it is, results and weights are there: the run has not failed
            console.print_exception()
            console.print(
                "The report could not be written; all else is complete. "
                f"python -m s2a_jax report --workdir {workdir.path} tries again.",
                style="bold yellow",
            )
    return code


def _stopped(request: "Request | None") -> str:
    """What has become of a run that was stopped otherwise than between two steps."""
    if request is None or request.mode == "preview" or not request.workdir.has_checkpoint():
        return "Stopped at once; nothing was saved yet."
    if request.mode == "evaluate":
        return "Stopped at once; results may be incomplete, the same command writes them anew."
    return "Stopped at once; the last checkpoint is complete, the same command goes on from there."


if __name__ == "__main__":
    interrupts()
    leave(main(sys.argv))
