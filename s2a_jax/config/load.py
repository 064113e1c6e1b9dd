"""Loads a configuration: a Python file with a function `get_config`, or one that ships by name."""

import importlib.util
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from s2a_jax.errors import UserError

_PACKAGE = Path(__file__).parents[1]
# An installed package has the files inside; in a checkout they lie beside the package.
SHIPPED = next(
    folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir()
)
"""Folder of the configurations that ship."""


def shipped_names() -> list[str]:
    """Names of the configurations that ship, such as `octa500`."""
    return sorted(path.stem for path in SHIPPED.glob("*.py"))


def load_config(argument: str) -> ConfigDict:
    """Loads one configuration.

    Args:
        argument: the value of `--config`: `FILE.py`, or the name of a configuration that ships;
            with `:smoke` at the end its shortest run. Any other text after the colon is passed to
            the file's `get_config`.

    Returns:
        The configuration, locked: no field can be added.

    Raises:
        UserError: there is no such file, it has no `get_config`, or it fails; the message names
            the file, the line and the exception.
    """
    file, colon, mode = argument.partition(":")
    path = _find(file, argument)
    module = _run_file(path)
    if not callable(getattr(module, "get_config", None)):
        raise UserError(f"--config={argument}: {path} has no function get_config.")
    is_smoke = mode == "smoke"
    config = _call(path, module.get_config, *([mode] if colon and not is_smoke else []))
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config={argument}: get_config of {path} returns {type(config).__name__}; expected "
            "a ConfigDict, such as load_config('default') gives."
        )
    if is_smoke:
        shortest = _run_file(SHIPPED / "default.py").SMOKE
        config.update_from_flattened_dict(shortest)
    return config.lock()


def _find(file: str, argument: str) -> Path:
    """The file that `--config` names; a file goes before a name."""
    path = Path(file).expanduser()
    if path.is_file():
        return path
    shipped = SHIPPED / f"{file}.py"
    if file in shipped_names():
        return shipped
    raise UserError(
        f"--config={argument}: there is no file {file}; give a Python file, or one of "
        f"{', '.join(shipped_names())}."
    )


def _run_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--config={path}: expected a Python file, such as configs/octa500.py.")
    module = importlib.util.module_from_spec(spec)
    _call(path, spec.loader.exec_module, module)
    return module


def _call(path: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls code of a configuration file; its faults become one sentence with file and line."""
    try:
        return function(*arguments)
    except UserError:
        raise
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}: {error.msg}.") from error
    except Exception as error:  # a configuration file can raise anything
        frames = traceback.extract_tb(error.__traceback__)
        if _is_ours(frames[-1].filename, path):
            raise
        line = next((f.lineno for f in reversed(frames) if Path(f.filename) == path), None)
        where = f"{path}, line {line}" if line else str(path)
        raise UserError(f"{where}: {type(error).__name__}: {error}") from error


def _is_ours(file: str, path: Path) -> bool:
    """Whether a fault lies in this package, not in the configuration file at `path`."""
    location = Path(file).resolve()
    inside = location.is_relative_to(_PACKAGE) or location.is_relative_to(SHIPPED)
    return inside and location not in (path.resolve(), Path(__file__).resolve())
