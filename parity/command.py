"""What the programs of this folder check before they start to compute."""

import importlib.util
from pathlib import Path

from s2a_jax.errors import UserError


def need_torch() -> None:
    """Raise a UserError if PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise UserError("This comparison needs PyTorch: pip install -e '.[parity]'.")


def make_folder(out: Path) -> None:
    """Make the output folder, so that a bad path fails before the long work.

    Raises:
        UserError: the folder cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out={out} cannot be made: {error}.") from error
