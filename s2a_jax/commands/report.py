"""`report`: writes one HTML file about a run or an evaluation."""

import argparse

from s2a_jax.commands.flags import path_flag
from s2a_jax.report.write import write_report


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Writes one HTML file, which needs no network, about a run, finished or not: its "
        "configuration, environment, curves, tables, pictures and biomarkers; or about an "
        "evaluation: its tables, pictures and biomarkers."
    )
    parser.add_argument(
        "--workdir", required=True, type=path_flag, help="folder of the run, or --out of evaluate"
    )
    parser.add_argument(
        "--out", type=path_flag, metavar="FILE", help="default: report.html in that folder"
    )


def run(options: argparse.Namespace) -> None:
    """Writes the report.

    Raises:
        UserError: the folder holds neither, or the file cannot be written.
    """
    print(f"Report: {write_report(options.workdir, options.out)}")
