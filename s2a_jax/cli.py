"""Command line: `python -m s2a_jax COMMAND`, or `s2a-jax COMMAND`."""

import argparse
import contextlib
import difflib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from s2a_jax import __version__, signals
from s2a_jax.errors import UserError
from s2a_jax.files import check_name
from s2a_jax.machine import share_compiled_programs

COMMANDS = {
    "train": "train or evaluate one configuration, or show what it would train on",
    "analyze": "masks, overlays, biomarkers and quality of images, in one table and one page",
    "predict": "segment images with a trained network",
    "evaluate": "score a trained network on a data set",
    "measure": "measure vessels and FAZ: one CSV row per eye, with units",
    "prepare": "check a data set and store it as TFDS array_record files",
    "convert": "convert weights from PyTorch and back",
    "export": "write a trained network as StableHLO or ONNX",
    "compare": "train several networks alike and test their differences",
    "report": "write one HTML file about a run or an evaluation",
    "serve": "show a web page that analyses images, on this machine",
}
"""Command -> what it does. Its module in `s2a_jax.commands` has `add_flags(parser)`, which may set
the default `takes_fields` for a command with `--config.FIELD=VALUE` flags, and `run(options)`."""

_USAGE = """\
usage: {program} [flags]

{commands}

{program} --help explains the flags of a command; --version prints the version.
"""

_PROGRAM = "s2a-jax {command}"

# Ratio of difflib from which a flag is a likely meaning.
_NEAR = 0.75


class _Parser(argparse.ArgumentParser):
    """Refuses flags with one sentence, as every other mistake is refused."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.prog} --help explains the flags.")

    def check_spelling(self, flags: Sequence[str], takes_fields: bool) -> None:
        """Raises a UserError for a flag that is none but looks like one.

        To be called before the flags are parsed: argparse would only say that the flag that was
        meant is missing.

        Args:
            flags: of the command line.
            takes_fields: whether flags that start with --config are anybody's.
        """
        known = [name for action in self._actions for name in action.option_strings]
        for text in flags:
            name = text.partition("=")[0]
            is_field = takes_fields and name.startswith("--config")
            if name.startswith("--") and name not in known and not is_field:
                if alike := difflib.get_close_matches(name, known, 1, _NEAR):
                    self.error(f"unexpected argument {name!r} (did you mean {alike[0]}?)")


def main(arguments: Sequence[str] | None = None, program: str = _PROGRAM) -> NoReturn:
    """Runs one command line and exits.

    Args:
        arguments: the command and its flags; default: those of this process.
        program: what the usage calls the program, with {command} where it names the command.
    """
    signals.end_at_once()
    if isinstance(sys.stdout, io.TextIOWrapper):  # no letter may end a command while it prints
        sys.stdout.reconfigure(errors="backslashreplace")
    quiet()
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in COMMANDS:  # help and version leave nothing behind
        share_compiled_programs()
    signals.leave(run(given, program))


def run(arguments: Sequence[str], program: str = _PROGRAM) -> int:
    """Runs one command line; returns the exit code, 2 after one sentence about a mistake."""
    stopped = "Stopped; the same command resumes if it can, and starts over otherwise."
    return signals.run_program(lambda: run_command(arguments, program), lambda: stopped)


def quiet() -> None:
    """Silences the warnings of other packages, which are for programmers: `python -W` shows them.

    Readers of files also log what they repair; what they cannot read they raise.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for name in ("pydicom", "tifffile"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def run_command(arguments: Sequence[str], program: str = _PROGRAM) -> int | None:
    """Runs one command line; returns the exit code or None for 0.

    Args:
        arguments, program: as for `main`.

    Raises:
        UserError: an unknown command, flag, file or field, or a path that is not UTF-8.
    """
    for text in arguments:
        check_name(text)
    with contextlib.suppress(FileNotFoundError):  # the current folder may be gone
        check_name(os.getcwd())
    name, *flags = arguments or ["--help"]
    if name in ("-h", "--help"):
        width = max(map(len, COMMANDS)) + 2
        listed = "\n".join(f"  {one:{width}}{text}" for one, text in COMMANDS.items())
        print(_USAGE.format(program=program.format(command="COMMAND"), commands=listed), end="")
        return 0
    if name == "--version":
        print(f"s2a-jax {__version__}")
        return 0
    if name not in COMMANDS:
        raise UserError(f"There is no command {name!r}; expected one of {', '.join(COMMANDS)}.")
    command = importlib.import_module(f"s2a_jax.commands.{name}")
    parser = _Parser(prog=program.format(command=name), allow_abbrev=False)
    parser.set_defaults(takes_fields=False)
    command.add_flags(parser)
    parser.check_spelling(flags, parser.get_default("takes_fields"))
    try:
        options, rest = parser.parse_known_args(flags)
    except SystemExit as done:  # --help
        return done.code
    if rest and not options.takes_fields:
        parser.error(f"unexpected argument {rest[0]!r}")
    options.fields = rest
    signals.raise_stopped()
    return command.run(options)
