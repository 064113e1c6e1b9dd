"""What a file of weights is, by its content: people rename files, and save web pages as weights."""

import json
import shlex
import zipfile
from pathlib import Path
from typing import Literal

from s2a_jax.errors import UserError

Kind = Literal["torch", "pickle", "npz", "safetensors"]

_WEB_PAGE = (b"<!doctype", b"<html", b"<head", b"<!--", b"<?xml")
_ARCHIVE = (b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")
"""First bytes of gzip, 7z, RAR, xz, bzip2 and Zstandard."""

_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of `torch.save` before PyTorch 1.6: a pickled magic number."""


def kind_of(path: Path) -> Kind:
    """Recognizes a file by its content, whatever its suffix.

    Returns:
        `torch` for a file of `torch.save`, `pickle` for any other pickle.

    Raises:
        UserError: no such file, or none of these kinds; the sentence says what it is.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error}.") from error
    if not head:
        raise UserError(f"{path} is empty (0 bytes): download or copy it again.")
    if head.startswith(b"PK"):
        return _zip_kind(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    if head.startswith(_TORCH_MAGIC):
        return "torch"
    if head.startswith(b"\x80"):
        return "pickle"
    raise UserError(f"{path} {_description(head)}.")


def resaving(path: Path, expression: str) -> str:
    """A shell command that saves anew what a Python expression reads from a file.

    Args:
        path: the file.
        expression: Python, with `{}` for the file's name, that may use `torch`.
    """
    target = path.with_name(f"{path.stem}_resaved.pth")
    # JSON writes names in double quotes, which need no escapes within the shell's single ones.
    name, target_name = (json.dumps(str(p), ensure_ascii=False) for p in (path, target))
    code = f"import torch; torch.save({expression.format(name)}, {target_name})"
    return f"python -c {shlex.quote(code)}"


def _zip_kind(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{path} is incomplete or damaged ({error}): download or copy it again."
        ) from error
    files = {name.partition("/")[2] for name in names}
    if "data.pkl" in files and "constants.pkl" in files:
        command = resaving(path, 'torch.jit.load({}, map_location="cpu").state_dict()')
        raise UserError(
            f"{path} is a TorchScript archive, a program with its weights: save the weights alone "
            f"and convert that file: {command}"
        )
    if "data.pkl" in files:
        return "torch"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise UserError(
        f"{path} is a zip archive, but none of torch.save or NumPy (it holds "
        f"{', '.join(names[:3]) or 'nothing'}): unpack it and pass the weights in it."
    )


def _description(head: bytes) -> str:
    """The rest of a sentence that starts with the file's name."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_WEB_PAGE):
        return (
            "is a web page, not weights (a page that asks to log in or to confirm was saved in "
            "place of the file): open its address in a browser and download the file from there"
        )
    if head.startswith(b"version https://git-lfs"):
        return (
            "is a Git LFS pointer, a few lines that stand for the file: run git lfs pull where it "
            "was cloned, or download the file from its web page"
        )
    if head.startswith(_ARCHIVE) or head[257:262] == b"ustar":
        return "is a compressed archive: unpack it and pass the weights in it"
    if head.startswith(b"\x89HDF"):
        return "is an HDF5 file, as Keras writes it, not one of PyTorch: pass weights of PyTorch"
    return "holds no weights: expected a file of torch.save, safetensors or NumPy (.npz)"
