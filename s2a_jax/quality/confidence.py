"""How sure several predictions of one image are: symmetries of an image, or several networks."""

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy


@dataclass(frozen=True, eq=False)
class Confidence:
    """What K predictions of one task say together.

    Attributes:
        mean: float32 [H, W] in [0, 1], the mean probability.
        spread: float32 [H, W] in [0, 0.5], standard deviation of the K probabilities; 0 if K is 1.
        mask_entropy: mean entropy of the mean probability inside the mask, bits in [0, 1]; NaN if
            the mask is empty. It is 1 where 0.5 is predicted.
        expected_dice: Dice that the mask would have on average if the mean probability were right,
            in [0, 1], see `expected_dice`.
    """

    mean: np.ndarray
    spread: np.ndarray
    mask_entropy: float
    expected_dice: float


def confidence(probabilities: np.ndarray, threshold: float = 0.5) -> Confidence:
    """Joins several predictions of one task.

    Args:
        probabilities: float [K, H, W] in [0, 1], K >= 1 predictions of the same pixels.
        threshold: smallest mean probability of the mask's pixels, in [0, 1].
    """
    mean = probabilities.mean(axis=0, dtype=np.float64)
    spread = probabilities.std(axis=0, dtype=np.float64)
    mask = mean >= threshold
    inside = entropy(mean[mask])
    return Confidence(
        mean=mean.astype(np.float32),
        spread=spread.astype(np.float32),
        mask_entropy=float(inside.mean()) if inside.size else np.nan,
        expected_dice=expected_dice(mean, mask),
    )


def entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy of a yes or no with these probabilities, bits in [0, 1]; any shape."""
    p = np.asarray(probability, np.float64)
    return -(xlogy(p, p) + xlogy(1 - p, 1 - p)) / np.log(2)


def expected_dice(probability: np.ndarray, mask: np.ndarray) -> float:
    """Dice of a mask with the truth, as the probabilities foresee it: 2 sum(p m) / sum(p + m).

    This is the ratio of the expected counts, which for masks of hundreds of pixels is close to the
    expectation of Dice. It is only as right as the probabilities are.

    Args:
        probability: float [H, W] in [0, 1].
        mask: bool [H, W].

    Returns:
        A number in [0, 1]; 1 if the mask is empty and all probabilities are 0.
    """
    total = probability.sum(dtype=np.float64) + np.count_nonzero(mask)
    if total == 0:
        return 1.0
    return float(2 * probability[mask].sum(dtype=np.float64) / total)
