"""A contact sheet of training cases as the network sees them."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from s2a_jax.config.ranges import check_ranges
from s2a_jax.data.load import image_size, load_run_data
from s2a_jax.data.pipeline import TrainStream
from s2a_jax.evaluation.counts import TASKS
from s2a_jax.evaluation.pictures import overlay, tag_missing
from s2a_jax.files import written_whole
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.setup import check_crop
from s2a_jax.training.step import unpack

_CASES, _DRAWS = 6, 3
_GAP = 4  # pixels


def write_preview(config: Any, path: Path) -> list[str]:
    """Draws the first training cases, a row a case: the case itself and three augmentations of it.

    Every picture is shown twice, without and with its masks: vessels red, the FAZ blue. If a case
    has several slabs, the first one is drawn. Where a case lacks a mask, the picture says so. No
    network is built.

    Args:
        config: a resolved configuration.
        path: where the PNG goes.

    Returns:
        Names of the cases, from top to bottom.

    Raises:
        UserError: a field, folder or file that cannot be used.
    """
    check_ranges(config)
    augmentation = Augmentation(**config.augment)
    check_crop(augmentation.crop, image_size(config.data))
    dataset = load_run_data(config.data, seed=config.seed)
    stream = TrainStream(dataset.train, dataset.sources, _CASES, config.seed, eyes=dataset.eyes)
    batch = next(stream.starting_at(0))
    images, masks = unpack(jax.tree.map(jnp.asarray, batch))
    draw, keys = jax.jit(augmentation), jax.random.split(jax.random.key(config.seed), _DRAWS)
    columns = [(images, masks), *(draw(key, images, masks) for key in keys)]
    side = images.shape[1]
    rows = []
    for i in range(_CASES):
        has = {task: bool(batch[f"has_{task}"][i]) for task in TASKS}
        pairs = (
            _pair(np.asarray(drawn[i, ..., 0]), np.asarray(labels[i]) > 0, has, side)
            for drawn, labels in columns
        )
        rows.append(np.concatenate([picture for pair in pairs for picture in pair], axis=1))
    with written_whole(path) as partial:
        Image.fromarray(np.concatenate(rows)).save(partial)
    return stream.ids(0)


def _pair(
    image: np.ndarray, masks: np.ndarray, has: dict[str, bool], side: int
) -> list[np.ndarray]:
    """An image without and with its masks.

    Args:
        image: [H, W] in [0, 1].
        masks: bool [H, W, 2], vessels and avascular zone.
        has: task -> whether the case has its mask.
        side: side of a picture in pixels; a crop is enlarged to it.

    Returns:
        Two pictures, uint8 [side + gap, side + gap, 3].
    """
    truth = {task: masks[..., i] if has[task] else None for i, task in enumerate(TASKS)}
    bare, drawn = (
        Image.fromarray(overlay(image, rv, faz)).resize((side, side))
        for rv, faz in ((None, None), (truth["rv"], truth["faz"]))
    )
    tag_missing(drawn, truth)
    gap = ((0, _GAP), (0, _GAP), (0, 0))
    return [np.pad(np.asarray(picture), gap) for picture in (bare, drawn)]
