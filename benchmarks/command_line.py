"""What the command lines of all benchmarks share: help and ranges of flags."""

import argparse


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
