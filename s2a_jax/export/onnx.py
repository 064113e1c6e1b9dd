"""A network as an ONNX file, which PyTorch writes of the same network.

`parity/export.py` holds the PyTorch side. It runs in a process of its own: nothing in this package
imports `parity`, which only a checkout has.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s2a_jax.convert.weights import Description, save_weights
from s2a_jax.errors import UserError
from s2a_jax.extras import import_extra
from s2a_jax.files import full_path
from s2a_jax.inference.runtimes import METADATA

_CHECKOUT = Path(__file__).parents[2]


def write_onnx(path: Path, description: Description, variables: Mapping[str, Any]) -> None:
    """Writes a model that takes images of any number, height and width.

    Its input is `image`, float32 [B, H, W], or [B, H, W, 3] with three slabs, in [0, 1], with sides
    that are multiples of 16; its outputs `rv` and `faz` are probabilities, float32 [B, H, W].

    Raises:
        UserError: this is no checkout, a package is not installed, or PyTorch lacks the network.
        OSError: the file cannot be written.
    """
    if not (_CHECKOUT / "parity/export.py").is_file():
        raise UserError(
            f"Writing {path} needs the PyTorch networks of a checkout (folder parity), which an "
            "installed s2a_jax lacks: run the command in a checkout, or write a .stablehlo file, "
            "which needs no PyTorch."
        )
    for name in ("torch", "onnx", "onnxscript", "onnxruntime"):
        import_extra(name, "export", f"Writing {path}")
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        save_weights(weights, description, variables)
        _run("parity.export", str(weights), str(full_path(path)), METADATA)


def _run(*command: str) -> None:
    """Runs a program of the checkout.

    Raises:
        UserError: as the program does.
    """
    paths = [str(_CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        # The accelerator's memory may be all in use by this process.
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
    )
    if done.returncode == 2:
        raise UserError(done.stderr.strip().rpartition("error: ")[2])
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
