"""Trains or evaluates one configuration, or shows what it would train on.

python main.py --config configs/octa500.py --workdir runs/octa500
python main.py --mode=evaluate --workdir runs/octa500
python main.py --mode=preview --config configs/octa500.py --workdir runs/octa500
"""

import re
import sys
from pathlib import Path

import jax
from absl import flags
from ml_collections import config_flags
from rich.console import Console

from configs import default
from configs.recipes import defaults_of, resolve
from s2a_jax.analysis.report import write_report
from s2a_jax.comparison.settings import field_hint
from s2a_jax.data.datasets import data_slabs
from s2a_jax.errors import UserError
from s2a_jax.training.loop import NonFiniteLossError, evaluate_workdir, train
from s2a_jax.training.preview import write_preview
from s2a_jax.training.workdir import Workdir

_CONFIG = config_flags.DEFINE_config_file("config", None, "Configuration file.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate", "preview"], "What to do.")


def main(argv: list[str]) -> int:
    """Runs one command line; returns the exit code, 2 for a user's mistake."""
    try:
        _parse(argv)
        if jax.config.jax_compilation_cache_dir is None:  # a resumed run need not compile again
            cache = Path.home() / ".cache" / "s2a_jax" / "xla"
            jax.config.update("jax_compilation_cache_dir", str(cache))
        # Tables need their width where the output goes to a file, too.
        console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 110)
        workdir = Workdir(_WORKDIR.value, default.get_config())
        if _MODE.value == "evaluate":
            config = _CONFIG.value or workdir.load_config()
            return _report(evaluate_workdir(resolve(config), workdir, console), workdir, console)
        if _MODE.value == "preview":
            picture = workdir.path / "preview.png"
            names = write_preview(resolve(_CONFIG.value), picture)
            slabs = data_slabs(_CONFIG.value.data)
            drawn = f" (the slab {slabs[0]})" if slabs else ""
            console.print(f"{', '.join(names)}, and three augmentations of each{drawn}: {picture}")
            return 0
        return _report(train(resolve(_CONFIG.value), workdir, console), workdir, console)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped at once; the last checkpoint is complete.", file=sys.stderr)
        return 130
    except NonFiniteLossError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _report(code: int, workdir: Workdir, console: Console) -> int:
    """Writes the report of a run that ended with `code` 0; returns the code."""
    if code == 0:
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


def _parse(argv: list[str]) -> None:
    """Parses the flags; raises a UserError that says which one is wrong."""
    try:
        rest = flags.FLAGS(argv)[1:]
        config = _CONFIG.value
        if config is not None:
            config.seed  # noqa: B018  a file that cannot be read is only reported at this point
    except (
        flags.Error,
        SyntaxError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        OSError,
    ) as error:
        raise UserError(_explain(argv, error)) from error
    if rest:
        raise UserError(f"Unexpected argument {rest[0]!r}; flags start with --.")
    if _WORKDIR.value is None:
        raise UserError("--workdir is missing: the folder that the run is written to.")
    if _MODE.value != "evaluate" and config is None:
        raise UserError("--config is missing, for example --config configs/synthetic.py.")


def _explain(argv: list[str], error: Exception) -> str:
    """One sentence about a flag that could not be parsed."""
    if isinstance(error, OSError):
        file = re.search(r"'([^']+)'$", str(error))
        return f"--config: cannot read {file[1] if file else error}."
    if not isinstance(error, KeyError | AttributeError):
        return f"{error}."
    # ml_collections names only the part of the field that it did not find.
    part = re.search(r"\w+", str(error))
    given = [arg.split("=")[0].lstrip("-") for arg in argv if arg.lstrip("-").startswith("config.")]
    field = next((flag for flag in given if part and part[0] in flag.split(".")), str(error))
    hint = field_hint(default.get_config(), field, "config.")
    return f"--{field}: there is no such field; {hint}"


if __name__ == "__main__":
    sys.exit(main(sys.argv))
