"""Parser and flag types of the benchmarks."""

import argparse


def parser(module: str, doc: str) -> argparse.ArgumentParser:
    """Make a parser whose `--help` prints the benchmark's docstring.

    Args:
        module: the benchmark's module, benchmarks.<file>.
        doc: its docstring.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def positive(text: str) -> int:
    """Parse a number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 1")
    return number


def several(text: str) -> int:
    """Parse a number of at least 2, where a spread is computed."""
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 2")
    return number
