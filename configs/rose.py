"""S2A-Net on ROSE.

    python main.py --config configs/rose.py --config.data.root=DIR --workdir runs/rose

trains the reference's set-up, as `configs/octa500.py` does, on ROSE-Z (512 px, vessels and FAZ).
Other subsets: `--config.data.subset=1` (304 px) or `2` (512 px), vessels only; `O` (304 px) or `H`
(512 px), vessels and FAZ. The projection is the superficial one; `--config.data.slab` chooses
another, or several (`WRCC,DCC,SCC`). It prints Dice of both tasks on the test split; no result has
been measured yet.

`configs/rose.py:smoke` is the shortest possible run, for trying things out.
"""

from ml_collections import ConfigDict

from s2a_jax.config.load import load_config


def get_config() -> ConfigDict:
    """The configuration."""
    config = load_config("default")
    config.data.name = "rose"
    config.data.root = "data/rose"
    config.data.subset = "Z"
    return config
