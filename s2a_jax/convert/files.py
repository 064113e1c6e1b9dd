"""Weights on disk under PyTorch's names: .pth, .pt, .safetensors and .npz. Nothing is unpickled."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from s2a_jax.errors import UserError

SUFFIXES = (".pth", ".pt", ".safetensors", ".npz")

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys that training scripts commonly save a state dict under, beside other things."""

_PICKLED = """{path} holds a pickled module or other objects, not a state dict, and loading it \
would run whatever code is in it. Where its classes are defined, re-save it:
    import torch
    model = torch.load({name!r}, map_location='cpu', weights_only=False)
    torch.save(model.state_dict(), 'state_{stem}.pth')"""


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Reads PyTorch's name -> array.

    Raises:
        UserError: no such file, not one of these formats, or not a state dict.
    """
    if not path.is_file():
        raise UserError(f"No file {path}.")
    match path.suffix.lower():
        case ".pth" | ".pt":
            return _read_torch(path)
        case ".safetensors":
            try:
                return load_file(path)
            except (SafetensorError, OSError) as error:
                raise UserError(f"{path} is no readable safetensors file: {error}.") from error
        case ".npz":
            return read_npz(path)
        case _:
            raise UserError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}.")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads an npz file without unpickling.

    Raises:
        UserError: no such file, damaged, or with pickled objects in it.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise UserError(f"{path} is no readable npz file of plain arrays: {error}.") from error


def write_state_dict(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict in the format that the file's ending asks for.

    The file appears only when it is complete.

    Raises:
        UserError: an unknown ending, or a folder that cannot be written to.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}.")
    # The ending stays, for numpy.savez would append its own.
    partial = path.with_name(f".partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".safetensors":
            save_file({k: np.ascontiguousarray(v) for k, v in state.items()}, partial)
        elif suffix == ".npz":
            np.savez(partial, **state)
        else:
            torch = _import_torch(path)
            torch.save({k: torch.tensor(np.asarray(v)) for k, v in state.items()}, partial)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error}.") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    torch = _import_torch(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        if "Unsupported global" in str(error):
            raise UserError(_PICKLED.format(path=path, name=path.name, stem=path.stem)) from error
        reason = (str(error) or type(error).__name__).splitlines()[-1]
        raise UserError(f"{path} is no readable file of PyTorch: {reason}") from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(torch.is_tensor(v) for v in content.values()):
        raise UserError(
            f"{path} is no state dict: expected a mapping from names to tensors, or one under the "
            f"key {', '.join(_WRAPPERS)}."
        )
    narrow = (torch.float16, torch.bfloat16)  # NumPy has no bfloat16
    return {
        name: (tensor.float() if tensor.dtype in narrow else tensor).numpy()
        for name, tensor in content.items()
    }


def _import_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path.suffix} files need PyTorch: pip install 's2a_jax[parity]', or "
            "pip install torch. Files in .safetensors or .npz do without."
        ) from error
    return torch
