"""Weights on disk under PyTorch's names: files of `torch.save`, .safetensors and .npz.

No file can run code: see `torch_files` for PyTorch's; NumPy's reader reads no pickles.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from s2a_jax.convert.kinds import kind_of
from s2a_jax.convert.torch_files import read_torch, write_torch
from s2a_jax.errors import UserError
from s2a_jax.files import written_whole

_MOST_BYTES = 8 * 10**9  # of unpacked arrays: two billion weights
WRITTEN = (".pth", ".pt", ".safetensors", ".npz")
"""Suffixes of the files that `write_state_dict` writes."""


def read_checkpoint(path: Path) -> Any:
    """Reads whatever a file of weights holds; its content, not its suffix, decides the format.

    Returns:
        Nested containers of tensors or arrays; `selection` finds the weights in them.

    Raises:
        UserError: no such file, a damaged one, or one that is no file of weights.
    """
    match kind_of(path):
        case "safetensors":
            return _load_safetensors(path)
        case "npz":
            return read_npz(path)
        case _:
            return read_torch(path)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads an npz file without unpickling.

    Raises:
        UserError: the file is missing, damaged, or holds pickled objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _MOST_BYTES:
            raise ValueError(f"it unpacks to {size / 1e9:.0f} GB, at most 8 are taken")
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # NumPy and the decoders of zip raise almost anything
        raise UserError(f"{path} is no readable npz file of plain arrays: {error}.") from error


def write_state_dict(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict in the format of the file's suffix.

    The file appears only when it is complete.

    Raises:
        UserError: an unknown suffix, or a folder that cannot be written to.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        raise UserError(f"{path}: expected a file that ends in {', '.join(WRITTEN)}.")
    with written_whole(path) as partial:
        if suffix == ".safetensors":
            save_safetensors({k: np.ascontiguousarray(v) for k, v in state.items()}, partial)
        elif suffix == ".npz":
            np.savez(partial, **state)
        else:
            write_torch(partial, state, owner=path)


def save_safetensors(
    arrays: Mapping[str, np.ndarray], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Writes a safetensors file.

    Raises:
        OSError: the file cannot be written.
    """
    # What the library's own `save_file` makes, only its owner may read.
    path.write_bytes(save(dict(arrays), metadata))


def _load_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, TypeError, KeyError) as error:
        raise UserError(f"{path} is no readable safetensors file: {error}.") from error
    except AttributeError as error:  # a type that NumPy lacks, such as float8
        raise UserError(f"{path}: {error}; save its weights as float32 or float16.") from error
