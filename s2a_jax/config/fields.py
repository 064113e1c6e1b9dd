"""Changes fields of a configuration from the command line: `--config.train.epochs=20`."""

import difflib
import re
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from s2a_jax.config.values import flatten
from s2a_jax.errors import UserError

# Ratios of difflib from which a field is a likely meaning, in its own section and elsewhere.
_NEAR, _FAR = 0.65, 0.85


def set_fields(config: ConfigDict, arguments: Sequence[str]) -> None:
    """Changes fields of `config` in place.

    Args:
        config: locked or not; no field is added.
        arguments: flags such as `--config.train.epochs=20`, or the flag and its value as two
            arguments. Values are written as in Python; tuples as `(1, 2)`.

    Raises:
        UserError: an argument that is no such flag, an unknown field, or a value of another type.
    """
    # Flags of its own for each call, so that no call remembers another.
    values = flags.FlagValues()
    command_line = ["", *arguments]
    try:
        config_flags.DEFINE_config_dict("config", config, "", values, sys_argv=command_line)
        values.set_gnu_getopt(True)  # reads on past what is no flag, to name it below
        _, *rest = values(command_line)
    except (flags.Error, LookupError, AttributeError, TypeError, ValueError) as error:
        raise UserError(_explain(config, arguments, error)) from error
    if rest:
        raise UserError(f"Unexpected argument {rest[0]!r}; flags start with --.")


def field_hint(config: ConfigDict, name: str) -> str:
    """The fields that an unknown name may have meant, as the end of a sentence.

    Args:
        config: a configuration with every field.
        name: the unknown name, such as `train.epoch`.
    """
    section, _, field = name.rpartition(".")
    if field == "field_mm" and section in ("", "eval"):  # as other commands name it
        return (
            "config.eval.um_per_px states the pitch of real images: 1000 times mm over pixels, "
            "such as 9.87 for 3 mm over 304 px."
        )
    alike = []
    for candidate in flatten(config):
        its_section, _, its_field = candidate.rpartition(".")
        closeness = difflib.SequenceMatcher(None, field, its_field).ratio()
        if closeness >= (_NEAR if section == its_section else _FAR):
            alike.append((section == its_section, closeness, candidate))
    if not alike:
        return "configs/default.py lists all fields."
    best = max(alike)[:2]
    meant = (f"config.{candidate}" for *score, candidate in alike if tuple(score) == best)
    return f"did you mean {' or '.join(meant)}?"


def _explain(config: ConfigDict, arguments: Sequence[str], error: Exception) -> str:
    """One sentence about the flag that could not be parsed."""
    if isinstance(error, IndexError):
        flag = next((argument for argument in arguments if "[" in argument), "--config")
        return f"{flag.split('=')[0]}: there is no such entry ({error})."
    if isinstance(error, flags.Error):
        return f"{error}."
    if not isinstance(error, KeyError | AttributeError):
        given = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
        return f"{', '.join(given)}: {error}."
    # ml_collections names only the part of the field that it did not find.
    part = re.search(r"\w+", str(error))
    named = [argument.split("=")[0].lstrip("-") for argument in arguments]
    fields = [name.removeprefix("config.") for name in named if name.startswith("config.")]
    field = next((name for name in fields if part and part[0] in name.split(".")), None)
    if field is None:
        return f"{error}."
    return f"--config.{field}: there is no such field; {field_hint(config, field)}"
