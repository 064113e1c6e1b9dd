"""What commands do alike with their flags."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from s2a_jax.errors import UserError

_FIELD = re.compile(r"(?:--)?config\.data\.(\w+)")


def with_flags(text: str, flags: Mapping[str, str]) -> str:
    """A sentence about fields of `config.data`, with the flags that a command has for them.

    Args:
        text: the sentence.
        flags: field -> flag; a field that is not there keeps its name.
    """
    return _FIELD.sub(lambda match: flags.get(match[1], match[0]), text)


@contextlib.contextmanager
def fields_as_flags(flags: Mapping[str, str]) -> Iterator[None]:
    """Mistakes in data are told by the fields of a configuration; here by a command's flags."""
    try:
        yield
    except UserError as error:
        raise UserError(with_flags(str(error), flags)) from error


def check_out_folder(folder: Path, flag: Path) -> None:
    """Raises a UserError unless results can go to a folder, which is made if its parent is there.

    Args:
        folder: where the results go.
        flag: what `--out` was; its folder, or itself.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out={flag}: {folder} is a file; give a folder.")
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise UserError(
            f"--out={flag}: the folder {parent} does not exist; make it first, or correct the path."
        )
    home = folder if folder.exists() else parent
    if not os.access(home, os.W_OK | os.X_OK):
        raise UserError(f"--out={flag}: {home} may not be written to; give another folder.")


def make_out_folder(folder: Path) -> None:
    """Makes the last folder of a path that `check_out_folder` has looked at."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"--out={folder} cannot be made: {error}.") from error
