"""Files of `torch.save`, read without running anything in them."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from s2a_jax.convert.kinds import kind_of, resaving
from s2a_jax.convert.placeholders import placeholder_for
from s2a_jax.errors import UserError


def read_torch(path: Path) -> Any:
    """Reads a file of `torch.save`; all but tensors and plain containers are placeholders.

    Raises:
        UserError: PyTorch is missing or too old, or the file is damaged or cannot be read without
            unpickling.
    """
    torch = _import_torch(path)
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise UserError(
            f"{path} needs PyTorch 2.6 or newer, since a file can make older ones run code in it; "
            f"this is {torch.__version__}: pip install -U torch."
        )
    try:
        unknown = _unknown_names(path, torch)
        with torch.serialization.safe_globals([(placeholder_for(n), n) for n in unknown]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch's loader raises almost anything at a foreign file
        raise UserError(_reason(path, error)) from error


def write_torch(path: Path, state: Mapping[str, np.ndarray], owner: Path) -> None:
    """Writes arrays as tensors.

    Args:
        path: the file to write.
        state: PyTorch's name -> array.
        owner: the file as messages name it.

    Raises:
        OSError: the file cannot be written.
        UserError: PyTorch is missing.
    """
    torch = _import_torch(owner)
    tensors = {name: torch.tensor(np.asarray(array)) for name, array in state.items()}
    try:
        torch.save(tensors, path)
    except RuntimeError as error:  # PyTorch's error for a file that cannot be written
        raise OSError(error) from error


def _unknown_names(path: Path, torch: Any) -> list[str]:
    """Classes and functions that PyTorch's restricted loader does not know."""
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    # Files from before PyTorch 1.6 cannot be searched; the loader refuses what it does not know.
    return torch.serialization.get_unsafe_globals_in_checkpoint(path) if is_zip else []


def _reason(path: Path, error: Exception) -> str:
    """The sentence for a file that PyTorch's restricted loader refuses."""
    if "is blocked" in str(error):
        return (
            f"{path} calls functions of the operating system when it is unpickled, which weights "
            "have no reason to do: do not load it, and get the weights from another source."
        )
    if kind_of(path) == "pickle":
        expression = '__import__("pickle").load(open({}, "rb"))'
    elif isinstance(error, pickle.UnpicklingError | TypeError | ValueError | AttributeError):
        expression = 'torch.load({}, map_location="cpu", weights_only=False)'
    else:
        line = (str(error) or type(error).__name__).strip().splitlines()[0]
        return f"{path} is no readable PyTorch file ({line}): download or copy it again."
    return (
        f"{path} is damaged, or holds objects that can be loaded only by running code in the file; "
        "if you trust it, save it anew where it was made and convert that file: "
        f"{resaving(path, expression)}"
    )


def _import_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path}: {path.suffix} files need PyTorch: pip install torch. Files in .safetensors "
            "or .npz need none."
        ) from error
    return torch
