"""Files that a browser sends: limits, names, and what is read of them."""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from s2a_jax.errors import UserError
from s2a_jax.inputs.contents import Contents, read_contents
from s2a_jax.inputs.images import EXTENSIONS
from s2a_jax.inputs.names import counted, nfc, stem_of
from s2a_jax.quality.frame import crop_frame

MOST_FILES = 20  # of one request
MOST_MB = 50  # of one file
MOST_SIDE = 8192  # pixels
ACCEPTED = (*EXTENSIONS, ".dcm", ".dicom", "application/dicom")
"""What the browser's file dialog offers; files are told apart by their content."""
CLAIMED = "request-"
"""How the name of a folder begins that holds the uploads of a request at work."""


class Upload(NamedTuple):
    """A file that a browser sent.

    Attributes:
        path: where it lies until it is read.
        name: file name on the user's device, for people.
    """

    path: Path
    name: str


def uploads_in(sent: Any, folder: Path) -> list[Upload]:
    """The files of a request that exist and lie in the folder of uploads.

    Args:
        sent: a list of {"path": ..., "orig_name": ...}; anything else names no file.
        folder: where uploads lie; files elsewhere are none of the request's.
    """
    entries = sent if isinstance(sent, list) else []
    uploads = []
    for one in entries:
        if not isinstance(one, Mapping):
            continue
        path = Path(str(one.get("path"))).resolve()
        if path.is_relative_to(folder.resolve()) and path.is_file():
            uploads.append(Upload(path, _shown_name(one, path)))
    return uploads


def check_uploads(sent: Any, folder: Path) -> list[Upload]:
    """Checks what a request names as its files.

    Args:
        sent, folder: as for `uploads_in`.

    Returns:
        The files, each once.

    Raises:
        UserError: no file, too many, or some that are not in `folder`.
    """
    if not sent:
        raise UserError("There is no image yet: choose or drop one first.")
    if not isinstance(sent, list):
        raise UserError("files: expected a list of uploads, each with its path and orig_name.")
    if len(sent) > MOST_FILES:
        raise UserError(
            f"{counted(len(sent), 'file')} at once, at most {MOST_FILES} are taken; choose fewer, "
            "or use the command analyze."
        )
    uploads = uploads_in(sent, folder)
    if len(uploads) < len(sent):
        lacking = len(sent) - len(uploads)
        raise UserError(f"{counted(lacking, 'file')} did not arrive or expired; send them again.")
    return list({upload.path: upload for upload in uploads}.values())  # a file can move once


def _shown_name(entry: Mapping[str, Any], path: Path) -> str:
    return re.split(r"[\\/]", nfc(str(entry.get("orig_name") or path.name)))[-1]


def claimed(uploads: Sequence[Upload], folder: Path) -> list[Upload]:
    """Moves files to a folder of their request, where no sweep of old uploads finds them."""
    moved = []
    for number, upload in enumerate(uploads):
        path = upload.path.replace(folder / f"{number}-{upload.path.name}")
        moved.append(Upload(path, upload.name))
    remove(uploads)
    return moved


def read_upload(upload: Upload) -> Contents:
    """Reads an image, without the frame of a screenshot.

    Raises:
        UserError: the file cannot be used.
    """
    try:
        if upload.path.stat().st_size > MOST_MB * 1e6:
            raise UserError(f"{upload.name} has more than {MOST_MB} MB; save a smaller image.")
        contents = read_contents([upload.path], adjust=crop_frame)
    except UserError as error:  # readers name the file by its path here
        raise UserError(str(error).replace(str(upload.path), upload.name)) from None
    height, width = contents.size
    if max(height, width) > MOST_SIDE:
        raise UserError(
            f"{upload.name} has {width}x{height} pixels, at most {MOST_SIDE} a side are taken; "
            "save a smaller image."
        )
    return contents


def remove(uploads: Sequence[Upload]) -> None:
    """Deletes the files that are still there, and their folders where these are empty then."""
    for upload in uploads:
        upload.path.unlink(missing_ok=True)
        with suppress(OSError):  # another upload of the same content lies there
            upload.path.parent.rmdir()


def remove_left(folder: Path, broken_s: float, complete_s: float) -> None:
    """Deletes the files of uploads that broke off, and of those whose request never came.

    Gradio's own deletion (`delete_cache`) ends for good when a file arrives while it looks for old
    ones (seen with Gradio 6 under load).

    Args:
        folder: where uploads arrive; those that are complete lie in folders below it, and those of
            a request at work in one whose name begins with `CLAIMED`.
        broken_s: seconds for which nothing has been written to a file that broke off.
        complete_s: the same of one that is complete.
    """
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith(CLAIMED):
            with suppress(FileNotFoundError):  # the folder went with its only upload
                for upload in path.iterdir():
                    _remove_old(upload, complete_s)
        _remove_old(path, broken_s)


def _remove_old(path: Path, idle_s: float) -> None:
    with suppress(OSError):  # it has just been moved
        if path.is_file() and time.time() - path.stat().st_mtime > idle_s:
            path.unlink()


def ids_of(names: Sequence[str]) -> list[str]:
    """Ids as `stem_of` gives them, numbered where two would differ in case only or not at all."""
    ids: list[str] = []
    taken: set[str] = set()
    for name in names:
        stem, number = stem_of(Path(name)), 2
        id_ = stem
        while id_.lower() in taken:
            id_, number = f"{stem}-{number}", number + 1
        taken.add(id_.lower())
        ids.append(id_)
    return ids
