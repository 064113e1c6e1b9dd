"""File and folder names: which files are images, their ids, and how names are compared.

Comparisons of folder names ignore case, spaces, underscores and hyphens; comparisons of file
extensions and of the endings `_rv` and `_faz` ignore case. All names are compared, shown and stored
in the Unicode form NFC: a letter such as u-umlaut has two spellings, and macOS writes the other one
(NFD). Files are opened by the path they have on disk.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from s2a_jax.errors import UserError
from s2a_jax.files import check_name
from s2a_jax.inputs import dicom, images

_EXTENSIONS = (".ome.tif", ".ome.tiff", *images.EXTENSIONS, *dicom.EXTENSIONS)
"""Extensions of image files; where one ends with another, the longer one first."""

_SEPARATOR = "+"  # of folders in a file name
_UNSAFE = frozenset('%+\\:*?"<>|')  # what is escaped, and what some file systems refuse
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # categories of characters
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # on Windows
_LONGEST = 180  # bytes; file systems allow 255, and endings are added


def file_name_of(id_: str) -> str:
    """A file name for an id, which may hold folders or come from anywhere.

    The name lies in the folder where it is used, whatever the id, and names of different ids
    differ. `site/eye 1` becomes `site+eye 1`. Other characters that a file system may refuse, that
    are invisible, or that would change the name's meaning are written as %XX, their bytes in UTF-8:
    a leading dot too, which hides files. Names of more than 180 bytes are cut, and end in a hash.

    Args:
        id_: any text.
    """
    escaped = "".join(map(_escaped, id_)) or "%"
    if escaped[0] == "." or _RESERVED.match(escaped):
        escaped = _percent(escaped[0]) + escaped[1:]
    if escaped[-1] in ". ":
        escaped = escaped[:-1] + _percent(escaped[-1])
    content = escaped.encode()
    if len(content) <= _LONGEST:
        return escaped
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return f"{content[:_LONGEST].decode(errors='ignore')}%{digest}"


def _escaped(character: str) -> str:
    if character == "/":
        return _SEPARATOR
    is_safe = character not in _UNSAFE and unicodedata.category(character) not in _INVISIBLE
    return character if is_safe else _percent(character)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def nfc(name: str) -> str:
    """A name in the Unicode form NFC."""
    return unicodedata.normalize("NFC", name)


def name_of(path: Path) -> str:
    """File name in the form NFC.

    Raises:
        UserError: the path is not UTF-8.
    """
    check_name(path)
    return nfc(path.name)


def stem_of(path: Path) -> str:
    """File name without the extension of an image file in the form NFC.

    Anything else after a dot is a part of the name: DICOM files are often named by a UID.

    Raises:
        UserError: the path is not UTF-8.
    """
    name = name_of(path)
    extension = next((one for one in _EXTENSIONS if name.lower().endswith(one)), "")
    return name[: len(name) - len(extension)]


def has_image_name(path: Path) -> bool:
    """Whether a file is visible and has the extension of an image file."""
    # Archives made on some systems carry a hidden "._name" beside each file.
    return not path.name.startswith(".") and path.name.lower().endswith(_EXTENSIONS)


def contents_of(folder: Path) -> list[Path]:
    """Files and folders in `folder`, sorted.

    Raises:
        UserError: the folder may not be read.
    """
    try:
        return sorted(folder.iterdir())
    except PermissionError:
        raise UserError(
            f"The folder {folder} cannot be opened; change its access rights."
        ) from None


def images_in(folder: Path | None, suffix: str = "") -> dict[str, Path]:
    """Image files <stem><suffix>.<extension> in `folder` by stem; {} without a folder.

    Raises:
        UserError: two files have one stem, a file's name is not UTF-8, or the folder may not be
            read.
    """
    files: dict[str, Path] = {}
    for path in contents_of(folder) if folder is not None else ():
        if not has_image_name(path):
            continue
        stem = without_ending(stem_of(path), suffix)
        if stem is None:
            continue
        if stem in files:
            raise UserError(
                f"{files[stem]} and {path} are two files for one image or mask"
                f"{look_alike(files[stem], path)}; keep one of them."
            )
        files[stem] = path
    return files


def look_alike(first: Path, second: Path) -> str:
    """A remark about two files whose names differ in their Unicode form only; else empty."""
    if first.name == second.name or nfc(first.name) != nfc(second.name):
        return ""
    return " (the same name in two Unicode forms, NFC and NFD)"


def without_ending(stem: str, ending: str) -> str | None:
    """The name before an ending such as `_rv` (in any case); None without the ending."""
    if not stem.lower().endswith(ending.lower()):
        return None
    return stem[: len(stem) - len(ending)]


def folders_in(folder: Path) -> Iterator[Path]:
    """Visible folders in `folder`, sorted; none if it may not be read."""
    try:
        children = [child for child in sorted(folder.iterdir()) if child.is_dir()]
    except PermissionError:  # an unrelated folder beside the data
        return
    for child in children:
        if not child.name.startswith("."):
            yield child


def child_folder(folder: Path, *names: str) -> Path | None:
    """First folder in `folder` with one of `names`; None without one."""
    wanted = {fold_name(name) for name in names}
    return next((child for child in folders_in(folder) if fold_name(child.name) in wanted), None)


def fold_name(name: str) -> str:
    """Folder name in the form in which names are compared."""
    return nfc(name).lower().translate({ord(character): None for character in " _-"})


def id_key(stem: str) -> tuple[int, str]:
    """Sort key of case ids: numbers by value, then other names."""
    return (int(stem), "") if stem.isdecimal() else (2**63, stem)


def first_few(names: Sequence[str]) -> str:
    """The first five names, and the number of others, for messages."""
    more = f" and {counted(len(names) - 5, 'other')}" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def counted(count: int, one: str, several: str = "") -> str:
    """A number and what it counts: "1 case", "2 cases".

    Args:
        count: the number.
        one: singular, with or without a verb: "case", "case has".
        several: plural; default: the singular with an s.
    """
    return f"{count} {one if count == 1 else several or one + 's'}"
