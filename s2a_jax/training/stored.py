"""Where trained networks are stored: workdirs, checkpoints, exported weights, this package."""

from pathlib import Path
from typing import Any

from s2a_jax.convert.weights import Description, parse_description, read_weights
from s2a_jax.errors import UserError
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.checkpoint import restore_variables
from s2a_jax.training.sealed import best_in, steps_in

_WEIGHTS = Path(__file__).parent / "weights"

SHIPPED = {"sim_to_real": _WEIGHTS / "sim_to_real.safetensors"}
"""Name -> weights that come with the package; docs/data.md describes their training data."""


def read_stored(path: str | Path) -> tuple[Description, dict[str, Any], Path]:
    """Reads a stored network.

    Args:
        path: as for `Segmenter.load_from_checkpoint`.

    Returns:
        The description, {"params", "batch_stats"}, and the file or folder that holds them.

    Raises:
        UserError: `path` names no stored network, or it is damaged.
    """
    path = Path(path).expanduser()
    if not path.exists():
        path = SHIPPED.get(str(path), path)
    if path.is_file():
        return *read_weights(path), path
    if not path.is_dir():
        raise UserError(
            f"No weights at {path}: expected a workdir, one of its checkpoints/<step>, a "
            f".safetensors file, or weights that come with s2a_jax ({', '.join(SHIPPED)})."
        )
    if (path / "checkpoints").is_dir():
        path = path / "checkpoints" / str(_chosen_step(path))
    meta, variables = restore_variables(path)
    return parse_description(meta, path), variables, path


def _chosen_step(path: Path) -> int:
    """Step of the checkpoint that the configuration of a workdir chooses; the best without one."""
    workdir = Workdir(path)
    choose = "best"
    if workdir.config.is_file():
        choose = workdir.value("eval.choose", choose)
    steps = steps_in(workdir.checkpoints)
    if not steps:
        remedy = f"pass {workdir.weights}" if workdir.weights.is_file() else "train first"
        raise UserError(f"{path} has no checkpoint: {remedy}.")
    return steps[-1] if choose == "last" else best_in(workdir.checkpoints)
