"""Several networks as one: the mean of their probabilities, and how much they differ."""

import threading
from collections.abc import Iterable, Sequence

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inference.pieces import Computed
from s2a_jax.inference.scale import UmPerPx
from s2a_jax.inference.segmenter import Masks, Predictor, Segmenter
from s2a_jax.inputs.pitch import pitches_text


class Ensemble(Predictor):
    """Several networks that give the mean of their probabilities.

    Attributes:
        models: the networks.
        slabs, pitches_um, tasks: those of each network.
    """

    def __init__(self, models: Sequence[Segmenter]):
        """Takes networks as `load_all` returns them."""
        self.models = tuple(models)
        first, *others = models
        self.slabs, self.pitches_um, self.tasks = first.slabs, first.pitches_um, first.tasks
        self._others = Others(others)

    def compute(
        self, image: np.ndarray, *, um_per_px: UmPerPx | None = None, tta: bool = False
    ) -> Computed:
        """Computes the mean, and the `spread` over the networks; see `pooled`."""
        computed = self.models[0].compute(image, um_per_px=um_per_px, tta=tta)
        return self._others.joined(computed, image, um_per_px=um_per_px, tta=tta)

    def predict_batch(
        self,
        images: Iterable[np.ndarray],
        *,
        um_per_px: UmPerPx | None = None,
        tta: bool = False,
        threshold: float = 0.5,
    ) -> list[Masks]:
        """Segments several images one after the other, as `Segmenter.predict_batch`."""
        found = []
        for number, image in enumerate(images):
            try:
                masks = self.predict(image, um_per_px=um_per_px, tta=tta, threshold=threshold)
            except UserError as error:
                raise UserError(f"images[{number}]: {error}") from None
            found.append(masks)
        return found


class Others:
    """The networks of an ensemble beside the first one; threads take turns in computing them."""

    def __init__(self, models: Sequence[Segmenter]):
        """Takes the networks, perhaps none."""
        self._models, self._computing = tuple(models), threading.Lock()

    def joined(
        self, computed: Computed, image: np.ndarray, *, um_per_px: UmPerPx | None, tta: bool
    ) -> Computed:
        """The mean of the first network's result on an image and those of the others."""
        with self._computing:
            more = [one.compute(image, um_per_px=um_per_px, tta=tta) for one in self._models]
        return pooled([computed, *more])


def load_all(paths: Sequence[str], runtime: str | None = None) -> list[Segmenter]:
    """Loads the networks of an ensemble.

    Networks that were trained on different ranges of pitches, as folds may be, all get the pitches
    that every one of them knows, so that they see an image at the same scale.

    Args:
        paths: as for `Segmenter.load_from_checkpoint`; at least one.
        runtime: what computes exported networks, as there.

    Raises:
        UserError: one of them cannot be loaded, or they differ in what they take or give, or know
            no common pitch, or there is none.
    """
    if not paths:
        raise UserError("An ensemble has at least one network; give the paths of their weights.")
    models = [Segmenter.load_from_checkpoint(path, runtime) for path in paths]
    first, *others = models
    known = first.pitches_um
    for path, other in zip(paths[1:], others, strict=True):
        for what in ("slabs", "tasks"):
            mine, theirs = getattr(first, what), getattr(other, what)
            if mine != theirs:
                raise UserError(
                    f"The weights {path} and {paths[0]} differ in {what}, {theirs} and {mine}; "
                    "average networks that were trained on the same kind of images."
                )
        common = common_pitches(known, other.pitches_um)
        if common is None and (known, other.pitches_um) != (None, None):
            raise UserError(
                f"The weights {path} were trained on pitches of {_range(other.pitches_um)}, those "
                f"before on {_range(known)}; average networks that know a common pitch."
            )
        known = common
    for model in models:
        model.pitches_um = known
    return models


def common_pitches(
    one: tuple[float, float] | None, other: tuple[float, float] | None
) -> tuple[float, float] | None:
    """The pitches in both ranges, um; None if there are none, or a range is unknown."""
    if one is None or other is None:
        return None
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None


def _range(pitches_um: tuple[float, float] | None) -> str:
    return "an unknown range" if pitches_um is None else pitches_text(pitches_um)


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
