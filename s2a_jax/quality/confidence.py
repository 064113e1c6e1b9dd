"""How sure a prediction is, as its own probabilities say."""

import numpy as np
from scipy.special import xlogy


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


def without(probability: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """The probabilities with 0 where a mask leaves out what reached its threshold.

    Pieces that are left out are taken for no FAZ at all, not for a part that is missed.

    Args:
        probability: float [H, W] in [0, 1].
        dropped: bool [H, W].
    """
    return np.where(dropped, 0, probability)
