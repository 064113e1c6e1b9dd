"""The flags of main.py: what they mean, and which one is wrong. Imports no JAX."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs import default
from s2a_jax.comparison.settings import field_hint
from s2a_jax.errors import UserError
from s2a_jax.training.workdir import Workdir

USAGE = """\
usage: python main.py --config FILE --workdir DIR [--mode MODE] [--config.SECTION.FIELD=VALUE ...]

Trains or evaluates one configuration, or shows what it would train on.

  --config FILE    the configuration, a Python file such as configs/octa500.py; FILE:smoke is its
                   shortest run. Default: none; --mode=evaluate then takes the run's own.
  --workdir DIR    the folder of the run. Default: none, it has to be given.
  --mode MODE      default: train
                     train     train, or go on training, then evaluate and write the report
                     evaluate  evaluate the best network of the workdir again
                     preview   draw training cases, and augmentations of them, to preview.png
  --config.SECTION.FIELD=VALUE
                   another value for a field: every field of configs/default.py is such a flag,
                   as --config.train.epochs=20. With --mode=evaluate and without --config it
                   changes the run's own configuration, as --config.eval.protocol=otsu.
  --help           this text

examples:
  python main.py --config configs/synthetic.py --workdir runs/demo
  python main.py --mode=evaluate --workdir runs/demo --config.eval.protocol=otsu
"""
MODES = ("train", "evaluate", "preview")
_HELP = {"-h", "-help", "--help", "-helpfull", "--helpfull", "-helpshort", "--helpshort"}


class Request(NamedTuple):
    """What a command line asks for.

    Attributes:
        mode: one of `MODES`.
        workdir: the folder of the run.
        config: the configuration, locked, not resolved.
    """

    mode: str
    workdir: Workdir
    config: ConfigDict


def asks_for_help(argv: Sequence[str]) -> bool:
    """Whether the usage is all that is wanted."""
    return not _HELP.isdisjoint(argv[1:])


def parse(argv: Sequence[str]) -> Request:
    """What `argv` asks for.

    Args:
        argv: the command line, the program's name first.

    Raises:
        UserError: a flag that is missing, unknown or cannot be used; the sentence names it.
    """
    try:
        return _parse(list(argv))
    except (
        flags.Error,
        SyntaxError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        OSError,
    ) as error:
        raise UserError(_explain(argv, error)) from error


def _parse(argv: list[str]) -> Request:
    known = _own_flags()
    known.set_gnu_getopt(True)  # past what is no flag, such as the value of an unknown one
    known(argv, known_only=True)
    if known.workdir is None:
        raise UserError("--workdir is missing: the folder of the run; --help tells more.")
    values, workdir = _own_flags(), Workdir(known.workdir, default.get_config())
    if any(re.match(r"--?config(=|$)", argument) for argument in argv):
        config_flags.DEFINE_config_file("config", None, "", values, sys_argv=argv)
    elif known.mode == "evaluate":
        # Into the defaults, which know the type of a field that is empty in the run's.
        config = default.get_config()
        try:
            config.update(workdir.load_config())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"The run's configuration {workdir.config} does not have the fields of a "
                f"configuration ({error}); put back a copy of it."
            ) from error
        config_flags.DEFINE_config_dict("config", config, "", values, sys_argv=argv)
    else:
        raise UserError("--config is missing, for example --config configs/synthetic.py.")
    rest = values(argv)[1:]
    if rest:
        raise UserError(f"Unexpected argument {rest[0]!r}; flags start with --.")
    values.config.seed  # noqa: B018  a file that cannot be read is only reported at this point
    return Request(values.mode, workdir, values.config)


def _own_flags() -> flags.FlagValues:
    """New --workdir and --mode; each parsing has its own, so that none remembers another."""
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", None, "Folder of the run.", values)
    flags.DEFINE_enum("mode", "train", MODES, "What to do.", values)
    return values


def _explain(argv: Sequence[str], error: Exception) -> str:
    """One sentence about a flag that could not be parsed."""
    if isinstance(error, OSError):
        file = re.search(r"'([^']+)'$", str(error))
        return f"--config: cannot read {file[1] if file else error}."
    if isinstance(error, IndexError):
        given = next((arg for arg in argv if "[" in arg), "--config")
        return f"{given.split('=')[0]}: there is no such entry ({error})."
    if not isinstance(error, KeyError | AttributeError):
        return f"{error}."
    # ml_collections names only the part of the field that it did not find.
    part = re.search(r"\w+", str(error))
    given = [arg.split("=")[0].lstrip("-") for arg in argv if arg.lstrip("-").startswith("config.")]
    field = next((flag for flag in given if part and part[0] in flag.split(".")), None)
    if field is None:
        return f"--config: the file cannot be used: {type(error).__name__}: {error}."
    hint = field_hint(default.get_config(), field, "config.")
    return f"--{field}: there is no such field; {hint}"
