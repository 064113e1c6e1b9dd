"""A contact sheet of training cases as the network will see them."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from s2a_jax.config.ranges import check_ranges
from s2a_jax.data.dataset import image_size, load_dataset
from s2a_jax.data.pipeline import TrainStream
from s2a_jax.errors import UserError
from s2a_jax.evaluation.pictures import overlay, tag_missing
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.setup import check_crop
from s2a_jax.training.step import unpack

_CASES, _DRAWS = 6, 3
_GAP = 4  # pixels


def write_preview(config: Any, path: Path) -> list[str]:
    """Draws the first training cases: each, and three augmentations of it, in a row.

    Every picture is shown without and with its masks, vessels red and the FAZ blue; of several
    slabs the first is drawn. A mask that a case does not have is named on the picture that would
    show it. No network is built.

    Args:
        config: a resolved configuration.
        path: where the PNG goes.

    Returns:
        Names of the cases, from the top.

    Raises:
        UserError: a field, folder or file that cannot be used.
    """
    check_ranges(config)
    augmentation = Augmentation(**config.augment)
    check_crop(augmentation.crop, image_size(config.data))
    dataset = load_dataset(config.data)
    stream = TrainStream(dataset.train, dataset.sources, _CASES, config.seed, eyes=dataset.eyes)
    batch = next(stream.starting_at(0))
    images, masks = unpack(jax.tree.map(jnp.asarray, batch))
    columns = [(images, masks)]
    draw = jax.jit(augmentation)
    for key in jax.random.split(jax.random.key(config.seed), _DRAWS):
        columns.append(draw(key, images, masks))
    side = images.shape[1]
    rows = []
    for i in range(_CASES):
        cells = []
        for pictures, labels in columns:
            picture, label = np.asarray(pictures[i, ..., 0]), np.asarray(labels[i]) > 0
            truth = {
                task: label[..., channel] if batch[f"has_{task}"][i] else None
                for channel, task in enumerate(("rv", "faz"))
            }
            bare, drawn = (
                Image.fromarray(overlay(picture, rv, faz)).resize((side, side))
                for rv, faz in ((None, None), (truth["rv"], truth["faz"]))
            )
            tag_missing(drawn, truth)
            cells += [
                np.pad(np.asarray(cell), ((0, _GAP), (0, _GAP), (0, 0))) for cell in (bare, drawn)
            ]
        rows.append(np.concatenate(cells, axis=1))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(rows)).save(path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error}.") from error
    return stream.ids(0)
