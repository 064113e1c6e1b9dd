"""What the command lines of all benchmarks share: help, ranges of flags, and how mistakes end."""

import argparse
import sys
from collections.abc import Callable

from s2a_jax.errors import UserError, exit_code


def parser(module: str, doc: str) -> argparse.ArgumentParser:
    """A parser whose `--help` prints what the benchmark says of itself.

    Args:
        module: its name, benchmarks.<file>.
        doc: its docstring.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def positive(text: str) -> int:
    """A flag's number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 1")
    return number


def several(text: str) -> int:
    """A flag's number of at least 2, for what is compared by its spread."""
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 2")
    return number


def run(main: Callable[[], None]) -> int:
    """Runs a benchmark; returns its exit code: 2 for a user's mistake, 130 for Ctrl-C."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print("Stopped.", file=sys.stderr)
        return exit_code(stop)
    return 0
