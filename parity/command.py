"""What programs beside the package share: one sentence for a user's mistake, exit code 2."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from s2a_jax.errors import UserError, exit_code


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
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print("Stopped; what was printed is complete.", file=sys.stderr)
        return exit_code(stop)
    return 0
