"""Loads a configuration: a Python file with a function `get_config`, or one that ships by name."""

import contextlib
import importlib.machinery
import importlib.util
import inspect
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from ml_collections import ConfigDict, FrozenConfigDict
from ml_collections.config_dict import RequiredValueError

from s2a_jax.config.fields import field_hint
from s2a_jax.config.values import flatten
from s2a_jax.errors import UserError
from s2a_jax.files import check_name, full_path

_PACKAGE = Path(__file__).parents[1]
# An installed package has the files inside; in a checkout they lie beside the package.
SHIPPED = next(
    folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir()
)
"""Folder of the configurations that ship."""
_DEFAULT = SHIPPED / "default.py"


def shipped_names() -> list[str]:
    """Names of the configurations that ship, such as `octa500`."""
    return sorted(path.stem for path in SHIPPED.glob("*.py"))


def load_config(argument: str) -> ConfigDict:
    """Loads one configuration.

    Args:
        argument: the value of `--config`: `FILE.py`, or the name of a configuration that ships;
            with `:smoke` at the end its shortest run. If `get_config` takes an argument, it gets
            the text after the colon instead.

    Returns:
        The configuration, locked: no field can be added.

    Raises:
        UserError: there is no such file, it has no `get_config`, it lacks a field, or it fails;
            the message names the file, the line and the exception. Or a value is an address.
    """
    file, colon, mode = argument.partition(":")
    path = _find(file, argument)
    module = _run_file(path)
    if not callable(getattr(module, "get_config", None)):
        raise UserError(f"--config={argument}: {path} has no function get_config.")
    takes_mode = _takes_argument(module.get_config)
    if mode not in ("", "smoke") and not takes_mode:
        raise UserError(f"--config={argument}: expected FILE or FILE:smoke.")
    config = _call(path, module.get_config, *([mode] if colon and takes_mode else []))
    if path != _DEFAULT:
        _check_fields(config, path)
    if mode == "smoke" and not takes_mode:
        config.update_from_flattened_dict(_run_file(_DEFAULT).SMOKE)
    for value in flatten(config).values():
        check_name(str(value))
    return config.lock()


def _find(file: str, argument: str) -> Path:
    """The file that `--config` names: a name without suffix and folder is one that ships."""
    if file in shipped_names():
        return SHIPPED / f"{file}.py"
    path = full_path(file)
    with contextlib.suppress(OSError):  # a name that is too long for the system
        if path.is_file():
            return path
    raise UserError(
        f"--config={argument}: there is no file {file}; give a Python file, or one of "
        f"{', '.join(shipped_names())}."
    )


def _takes_argument(function: Callable[..., Any]) -> bool:
    """Whether a function takes arguments; false for what Python knows no signature of."""
    try:
        return bool(inspect.signature(function).parameters)
    except ValueError:  # some functions and types that are built in
        return False


def _check_fields(config: Any, path: Path) -> None:
    """Raises a UserError unless `config` has every field of the default configuration."""
    if not isinstance(config, ConfigDict) or isinstance(config, FrozenConfigDict):
        if inspect.iscoroutine(config):
            config.close()  # otherwise Python warns that nobody waited for it
        raise UserError(
            f"{path}: get_config returns {type(config).__name__}; expected a ConfigDict, such as "
            "load_config('default') returns."
        )
    try:
        given = flatten(config)
    except RequiredValueError:
        raise UserError(
            f"{path}: a required_placeholder of the configuration has no value; set it in the file."
        ) from None
    except RecursionError:
        raise UserError(
            f"{path}: a section of the configuration holds itself; start it from "
            "load_config('default') of s2a_jax.config.load."
        ) from None
    if missing := [name for name in flatten(load_config("default")) if name not in given]:
        raise UserError(
            f"{path}: the configuration lacks config.{missing[0]}; start it from "
            "load_config('default') of s2a_jax.config.load."
        )


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the text as it is now, and leaves no `__pycache__` beside a user's file."""

    def path_stats(self, path: str) -> NoReturn:
        raise OSError("bytecode is neither read nor written")


def _run_file(path: Path) -> ModuleType:
    if path.suffix != ".py":
        raise UserError(f"--config={path}: expected a Python file, such as configs/octa500.py.")
    name = f"config_{path.stem}"
    loader = _SourceLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    _call(path, loader.exec_module, module)
    return module


def _call(path: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls code of a configuration file; its faults become one sentence with file and line."""
    try:
        return function(*arguments)
    except UserError:
        raise
    except SyntaxError as error:
        raise UserError(f"{_where(path, error.lineno)}: {error.msg}.") from error
    except (Exception, SystemExit) as error:  # a configuration file can raise anything
        frames = traceback.extract_tb(error.__traceback__)
        if _is_ours(frames[-1].filename, path):
            raise
        line = next((f.lineno for f in reversed(frames) if Path(f.filename) == path), None)
        unknown = re.search(r'Key \\?"(\w+)\\?" does not exist', str(error))
        if unknown and isinstance(error, AttributeError | KeyError):  # of a locked ConfigDict
            reason = f"there is no field {unknown[1]}; "
            reason += field_hint(_run_file(_DEFAULT).get_config(), unknown[1])
        else:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{_where(path, line)}: {reason}") from error


def _where(path: Path, line: int | None) -> str:
    return f"{path}, line {line}" if line else str(path)


def _is_ours(file: str, path: Path) -> bool:
    """Whether a fault lies in this package, not in the configuration file at `path`."""
    location = Path(file).resolve()
    inside = location.is_relative_to(_PACKAGE) or location.is_relative_to(SHIPPED)
    return inside and location not in (path.resolve(), Path(__file__).resolve())
