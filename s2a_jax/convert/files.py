"""Weights on disk under PyTorch's names: .pth, .pt, .safetensors and .npz.

No file can run code: PyTorch's loader reads only tensors and plain containers
(`weights_only=True`), NumPy's reads no pickles.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from s2a_jax.errors import UserError
from s2a_jax.files import written_whole

SUFFIXES = (".pth", ".pt", ".safetensors", ".npz")

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts commonly save a state dict beside other objects."""

_PICKLED = """{path} holds a pickled module or other objects, not a state dict; loading it would \
run any code in it. Where its classes are defined, re-save it:
    import torch
    model = torch.load({name!r}, map_location='cpu', weights_only=False)
    torch.save(model.state_dict(), 'state_{stem}.pth')"""


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Reads a state dict: PyTorch's name -> array.

    Raises:
        UserError: no such file, another format, or not a state dict.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    match path.suffix.lower():
        case ".pth" | ".pt":
            return _read_torch(path)
        case ".safetensors":
            return {name: to_numpy(array) for name, array in _load_safetensors(path).items()}
        case ".npz":
            return read_npz(path)
        case _:
            raise UserError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}.")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads an npz file without unpickling.

    Raises:
        UserError: the file is missing, damaged, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise UserError(f"{path} is no readable npz file of plain arrays: {error}.") from error


def write_state_dict(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict in the format of the file's suffix.

    The file appears only when it is complete.

    Raises:
        UserError: an unknown suffix, or a folder that cannot be written to.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}.")
    with written_whole(path) as partial:
        if suffix == ".safetensors":
            save_safetensors({k: np.ascontiguousarray(v) for k, v in state.items()}, partial)
        elif suffix == ".npz":
            np.savez(partial, **state)
        else:
            torch = _import_torch(path)
            tensors = {k: torch.tensor(np.asarray(v)) for k, v in state.items()}
            try:
                torch.save(tensors, partial)
            except RuntimeError as error:  # PyTorch's error for a file that cannot be written
                raise OSError(error) from error


def save_safetensors(
    arrays: Mapping[str, np.ndarray], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Writes a safetensors file.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        save_file(dict(arrays), path, metadata)
    except SafetensorError as error:
        raise OSError(error) from error


def to_numpy(tensor: Any) -> np.ndarray:
    """Converts a PyTorch tensor or an array; 16-bit floats become float32, as parameters are."""
    if hasattr(tensor, "detach"):  # a tensor, recognised without importing PyTorch
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point() and tensor.element_size() < 4:
            tensor = tensor.float()  # NumPy has no bfloat16
        return tensor.numpy()
    array = np.asarray(tensor)
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def _load_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, TypeError, KeyError) as error:  # or a type that NumPy lacks
        raise UserError(f"{path} is no readable safetensors file: {error}.") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    torch = _import_torch(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch's loader raises almost anything at a foreign file
        if "Unsupported global" in str(error):
            raise UserError(_PICKLED.format(path=path, name=path.name, stem=path.stem)) from error
        reason = (str(error) or type(error).__name__).splitlines()[-1]
        raise UserError(f"{path} is no readable PyTorch file: {reason}") from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and torch.is_tensor(tensor) for name, tensor in content.items()
    ):
        raise UserError(
            f"{path} is no state dict: expected a mapping from names to tensors, alone or under "
            f"one of the keys {', '.join(_WRAPPERS)}."
        )
    return {name: to_numpy(tensor) for name, tensor in content.items()}


def _import_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path}: {path.suffix} files need PyTorch: pip install torch. Files in .safetensors "
            "or .npz need none."
        ) from error
    return torch
