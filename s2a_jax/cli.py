"""Command line: `python -m s2a_jax COMMAND`; `--help` lists the commands."""

import argparse
import sys
from collections.abc import Sequence

from s2a_jax.commands import compare, convert, evaluate, measure, predict, prepare, report
from s2a_jax.errors import UserError, exit_code

COMMANDS = {
    "predict": predict,
    "evaluate": evaluate,
    "measure": measure,
    "prepare": prepare,
    "convert": convert,
    "compare": compare,
    "report": report,
}
"""Name -> module with `add(subparsers)` and `run(options)`; modules import JAX in `run` alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code, 2 for a mistake, 128 + the signal's if stopped."""
    parser = argparse.ArgumentParser(prog="python -m s2a_jax", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS.values():
        command.add(subparsers)
    options = parser.parse_args(arguments)
    try:
        return COMMANDS[options.command].run(options) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print("Stopped; the same command starts over, or goes on where it can.", file=sys.stderr)
        return exit_code(stop)
