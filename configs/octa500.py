"""S2A-Net on OCTA-500.

    python main.py --config configs/octa500.py --workdir runs/octa500

trains the reference's set-up: `base` (99.8 M parameters), subset 3M, Adam 0.01 with polynomial
decay, batch 4, 500 epochs. It needs a GPU or TPU; `configs/octa500_small.py` is for CPUs. With
`--config.model.variant=small` this recipe takes half an hour on two cores and reaches RV Dice 0.899
on the 10 validation cases of 3M, with `--config.data.mixture.synthetic=0.2` for a copy that has few
FAZ masks.

`configs/octa500.py:smoke` is the shortest possible run, for trying things out.
`--config.data.slab=FULL,OPL_BM,ILM_OPL` trains on all three projections (see data/README.md).

data/README.md explains how to get the data set; pass its folder as `--config.data.root=DIR`.
"""

from ml_collections import ConfigDict

from s2a_jax.config.load import load_config


def get_config() -> ConfigDict:
    """The configuration."""
    return load_config("default")
