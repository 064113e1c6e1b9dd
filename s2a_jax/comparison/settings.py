"""A configuration file and single fields of it, from the command line."""

import ast
import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from s2a_jax.errors import UserError


def load_config_file(argument: str) -> ConfigDict:
    """What `get_config` of a configuration file returns.

    Args:
        argument: `FILE.py` or `FILE.py:mode`.

    Raises:
        UserError: there is no such file, or it has no `get_config`.
    """
    file, colon, mode = argument.partition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"--config={argument}: there is no file {file}; try configs/synthetic.py.")
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--config={argument}: expected a Python file, for example octa500.py.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(f"--config={argument}: the file has no function get_config.")
    return module.get_config(*([mode] if colon else []))


def set_fields(config: ConfigDict, assignments: Sequence[str]) -> None:
    """Changes fields of `config` in place.

    Args:
        config: locked or not; no field is added.
        assignments: each `section.field=value`, also with `config.` in front; the value is written
            as in Python, and a word is itself.

    Raises:
        UserError: no such field, or a value of another type.
    """
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.removeprefix("config.")
        if not equals:
            raise UserError(f"--set {assignment}: expected FIELD=VALUE, as in train.epochs=20.")
        if name not in _names(config):
            hint = field_hint(config, name)
            raise UserError(f"--set {assignment}: there is no such field; {hint}")
        try:
            config.update_from_flattened_dict({name: _value(text)})
        except (TypeError, ValueError) as error:
            expected = config.get_type(name) if "." not in name else _type(config, name)
            raise UserError(f"--set {assignment}: expected {expected.__name__}.") from error


def field_hint(config: ConfigDict, name: str, prefix: str = "") -> str:
    """What to tell who named a field that `config` does not have.

    Args:
        config: with all fields that there are.
        name: what was given, with `prefix` in front.
        prefix: how a name of the first level begins, as "config.".
    """
    close = difflib.get_close_matches(name, _names(config, prefix), n=1)
    return f"did you mean {close[0]}?" if close else "configs/default.py lists all fields."


def _type(config: ConfigDict, name: str) -> type:
    *sections, field = name.split(".")
    for section in sections:
        config = config[section]
    return config.get_type(field)


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return tuple(value) if isinstance(value, list) else value


def _names(config: ConfigDict, prefix: str = "") -> list[str]:
    """Full names of all fields."""
    names = []
    for name, value in config.items():
        inner = isinstance(value, ConfigDict)
        names += _names(value, f"{prefix}{name}.") if inner else [prefix + name]
    return names
