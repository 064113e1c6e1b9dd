"""File and folder names: which files are images, and how names are compared.

Comparisons of folder names ignore case, spaces, underscores and hyphens; comparisons of file
extensions and of the endings `_rv` and `_faz` ignore case.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from s2a_jax.errors import UserError
from s2a_jax.inputs.images import EXTENSIONS


def images_in(folder: Path | None, suffix: str = "") -> dict[str, Path]:
    """Image files <stem><suffix>.<extension> in `folder` by stem; {} without a folder.

    Raises:
        UserError: two files have one stem.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder is not None else ():
        # Archives made on some systems carry a hidden "._name" beside each file.
        is_image = path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
        stem = without_ending(path.stem, suffix)
        if not is_image or stem is None:
            continue
        if stem in files:
            raise UserError(
                f"{files[stem]} and {path} are two files for one image or mask; keep one of them."
            )
        files[stem] = path
    return files


def without_ending(stem: str, ending: str) -> str | None:
    """The name before an ending such as `_rv` (in any case); None without the ending."""
    if not stem.lower().endswith(ending.lower()):
        return None
    return stem[: len(stem) - len(ending)]


def folders_in(folder: Path) -> Iterator[Path]:
    """Visible folders in `folder`, sorted; none if it may not be read."""
    try:
        children = sorted(folder.iterdir())
    except PermissionError:  # an unrelated folder beside the data
        return
    for child in children:
        if not child.name.startswith(".") and child.is_dir():
            yield child


def child_folder(folder: Path, *names: str) -> Path | None:
    """First folder in `folder` with one of `names`; None without one."""
    wanted = {fold_name(name) for name in names}
    return next((child for child in folders_in(folder) if fold_name(child.name) in wanted), None)


def fold_name(name: str) -> str:
    """Folder name in the form in which names are compared."""
    return name.lower().translate({ord(character): None for character in " _-"})


def id_key(stem: str) -> tuple[int, str]:
    """Sort key of case ids: numbers by value, then other names."""
    return (int(stem), "") if stem.isdecimal() else (2**63, stem)


def first_few(names: Sequence[str]) -> str:
    """The first five names, and the number of others, for messages."""
    more = f" and {len(names) - 5} others" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
