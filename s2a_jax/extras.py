"""Packages that only an extra of `pyproject.toml` installs."""

import importlib
from types import ModuleType

from s2a_jax.errors import UserError


def import_extra(name: str, extra: str, purpose: str) -> ModuleType:
    """Imports a package that may be missing.

    Args:
        name: of the module, which is also the package's.
        extra: the extra that installs it.
        purpose: what needs it, the start of a sentence, such as "Reading x.dcm".

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # the package is there, and lacks something itself
        raise UserError(
            f"{purpose} needs {package}: pip install -e '.[{extra}]' in the checkout, or "
            f"pip install {package}."
        ) from None
