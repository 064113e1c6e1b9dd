"""Confusion counts on the device, every case once: all that validation needs."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s2a_jax.evaluation.metrics import scores

TASKS = ("rv", "faz")


def count_pixels(
    probability: dict[str, Array],
    truth: dict[str, Array],
    threshold: float | dict[str, Array],
    window: Array | None = None,
) -> dict[str, dict[str, Array]]:
    """Counts true and false positives and negatives of every image, inside jit.

    Args:
        probability: task -> [B, H, W] in [0, 1].
        truth: the same tasks -> [B, H, W] in {0, 1}.
        threshold: smallest probability of a positive pixel; one for all, or task -> [B].
        window: int32 [B, 4], top, left, bottom and right (exclusive) of the region to count in
            each image; None counts all pixels.

    Returns:
        Task -> {"tp", "fp", "fn", "tn"}, each int32 [B].
    """
    counts = {}
    for task, values in probability.items():
        cut = threshold[task][:, None, None] if isinstance(threshold, dict) else threshold
        predicted, true = values >= cut, truth[task] > 0
        counted = True if window is None else _inside(window, values.shape[1:])
        pairs = {"tp": (1, 1), "fp": (1, 0), "fn": (0, 1), "tn": (0, 0)}
        counts[task] = {
            name: jnp.sum(
                (predicted == p) & (true == t) & counted, axis=(1, 2), dtype=jnp.int32
            )
            for name, (p, t) in pairs.items()
        }  # fmt: skip
    return counts


def _inside(window: Array, shape: tuple[int, int]) -> Array:
    """Mask of the pixels inside each image's window, bool [B, H, W]."""
    top, left, bottom, right = (window[:, i, None, None] for i in range(4))
    y, x = jnp.arange(shape[0])[None, :, None], jnp.arange(shape[1])[None, None, :]
    return (y >= top) & (y < bottom) & (x >= left) & (x < right)


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Confusion counts of N cases.

    Attributes:
        ids: names of the cases.
        counts: task -> `tp`, `fp`, `fn`, `tn` -> int64 [N].
        present: task -> bool [N], whether the case has that task's mask; cases without it do not
            count.
    """

    ids: tuple[str, ...]
    counts: dict[str, dict[str, np.ndarray]]
    present: dict[str, np.ndarray]

    def tasks(self) -> list[str]:
        """Tasks that at least one case has a mask for."""
        return [task for task in TASKS if self.present[task].any()]

    def per_image(self, task: str) -> dict[str, np.ndarray]:
        """Pixel metrics of every case with a mask for `task`: name -> float64 [n]."""
        kept = self.present[task]
        return scores({name: values[kept] for name, values in self.counts[task].items()})

    def mean(self, task: str, metric: str) -> float:
        """Mean of a metric over the cases with a mask for `task`."""
        return float(self.per_image(task)[metric].mean())

    def score(self) -> float:
        """Score that selects the best checkpoint: the mean Dice over all masks.

        A task weighs as much as it has masks, so that the few cases of one task do not decide.
        """
        dice = [self.per_image(task)["dice"] for task in self.tasks()]
        return float(np.concatenate(dice).mean())


def evaluate(
    batches: Sequence[tuple[slice, dict[str, Array]]] | Any,
    count: Callable[[dict[str, Array]], dict[str, dict[str, Array]]],
    ids: tuple[str, ...],
    present: dict[str, np.ndarray],
) -> Evaluation:
    """Counts every case of padded batches once.

    Args:
        batches: pairs of the slice of cases in a batch (without its padding) and the batch.
        count: jitted function from a batch to `count_pixels`' result, replicated on all devices.
        ids: names of all N cases.
        present: task -> bool [N], whether the case has that task's mask.
    """
    counts = {
        task: {name: np.zeros(len(ids), np.int64) for name in ("tp", "fp", "fn", "tn")}
        for task in TASKS
    }
    for part, batch in batches:
        for task, by_name in jax.device_get(count(batch)).items():
            for name, values in by_name.items():
                counts[task][name][part] = values[: part.stop - part.start]
    return Evaluation(ids, counts, present)
