"""What programs beside the package share: one sentence for a user's mistake, exit code 2."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from s2a_jax.errors import UserError
from s2a_jax.signals import run_program


def need_torch() -> None:
    """Raises a UserError if PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise UserError("This comparison needs PyTorch: pip install -e '.[parity]'.")


def make_folder(out: Path) -> None:
    """Makes the folder for results, before the work whose results they are."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out={out} cannot be a folder for results: {error}.") from error


def run(main: Callable[[], None]) -> int:
    """Runs a command; returns its exit code."""
    return run_program(main, lambda: "Stopped; what was printed is complete.")
