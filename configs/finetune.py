"""The shipped network, fine-tuned on a folder of one's own eyes with masks, 5 to 50 or more.

    python main.py --config configs/finetune.py --config.data.root=DIR --workdir runs/mine

starts from `sim_to_real` and makes about 480 updates, ten minutes on two CPU cores. DIR holds
images and masks in any layout of data/README.md; without split folders a fixed share of the cases
becomes val and test. Size, crop, batch size and epochs follow from the images, and a sentence says
so; flags override them (docs/finetune.md). `--config.eval.um_per_px=UM` states the pitch of the
files. `configs/finetune.py:smoke` is the shortest run, from random values.
"""

from ml_collections import ConfigDict

from s2a_jax.config.load import load_config


def get_config() -> ConfigDict:
    """The configuration."""
    config = load_config("default")
    config.model.variant = "small"
    config.model.start_from = "sim_to_real"
    config.data.name = "folder"
    config.data.root = "data/mine"
    config.optimizer.learning_rate = 1e-3  # a third of what `small` learns with from the start
    config.train.updates = 480
    config.train.ema_decay = 0.99
    config.augment.update({"scale": 0.1, "rotate_degrees": 20.0, "contrast": 0.2})
    config.eval.choose = "last"  # a handful of validation cases would choose by chance
    return config
