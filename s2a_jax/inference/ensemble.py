"""Several networks as one: the mean of their probabilities, and how much they differ."""

from collections.abc import Sequence

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inference.pieces import Computed
from s2a_jax.inference.segmenter import Segmenter


def load_all(paths: Sequence[str]) -> list[Segmenter]:
    """Loads the networks of an ensemble.

    Args:
        paths: as for `Segmenter.load_from_checkpoint`; at least one.

    Raises:
        UserError: one of them cannot be loaded, or they differ in what they take or give.
    """
    models = [Segmenter.load_from_checkpoint(path) for path in paths]
    first = models[0]
    for path, other in zip(paths[1:], models[1:], strict=True):
        for what in ("slabs", "tasks", "pitches_um"):
            mine, theirs = getattr(first, what), getattr(other, what)
            if mine != theirs:
                raise UserError(
                    f"--weights={path} and --weights={paths[0]} differ in {what}, {theirs} and "
                    f"{mine}; average networks that were trained on the same kind of images."
                )
    return models


def pooled(results: Sequence[Computed]) -> Computed:
    """The mean of several networks' results on one image.

    Args:
        results: of one image and the same scale; at least one.

    Returns:
        The mean probabilities. `spread` is the standard deviation over networks and, if they were
        averaged, symmetries; for a single result it is that of the result.
    """
    first = results[0]
    if len(results) == 1:
        return first
    spread = {}
    for task in first.probability:
        means = np.stack([one.probability[task] for one in results])
        within = [np.square(one.spread[task]) for one in results if one.spread is not None]
        variance = means.var(axis=0) + (np.mean(within, axis=0) if within else 0)
        spread[task] = np.sqrt(variance, dtype=np.float32)
    return first._replace(
        probability={t: _mean([one.probability[t] for one in results]) for t in first.probability},
        at_network={t: _mean([one.at_network[t] for one in results]) for t in first.at_network},
        spread=spread,
    )


def _mean(maps: Sequence[np.ndarray]) -> np.ndarray:
    return np.mean(maps, axis=0, dtype=np.float32)
