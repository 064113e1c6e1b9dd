"""Shape metrics of binary masks: distances between boundaries, centre lines, components.

They run on the host in SciPy and scikit-image, whose loops release the interpreter lock, so that
threads score several images at once.
"""

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

_EIGHT = np.ones((3, 3), bool)


def surface_distances(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measures the distance from each boundary pixel of one mask to the nearest of the other.

    A boundary pixel is a pixel of the mask with a side neighbour outside it; the area beyond the
    image counts as outside (as in MONAI and medpy).

    Args:
        predicted: bool [H, W].
        true: bool [H, W].

    Returns:
        Distances of the prediction's boundary [P] and of the truth's [T] in pixels, >= 0. Both
        masks empty: one distance of 0 each; one empty: one distance each, the image's diagonal,
        which no other pair of masks reaches.
    """
    if not predicted.any() or not true.any():
        far = 0.0 if predicted.any() == true.any() else float(np.hypot(*true.shape))
        return np.array([far]), np.array([far])
    # Pixels outside the box around both masks do not affect the distances.
    rows, columns = (np.flatnonzero((predicted | true).any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ours, theirs = (_boundary(mask[box]) for mask in (predicted, true))
    return (
        ndimage.distance_transform_edt(~theirs)[ours],
        ndimage.distance_transform_edt(~ours)[theirs],
    )


def hd95(distances: tuple[np.ndarray, np.ndarray]) -> float:
    """95th percentile Hausdorff distance in pixels, >= 0, lower is better.

    The larger of both directions' 95th percentiles (as MONAI; medpy takes one percentile of both
    together). Both masks empty: 0; one empty: the image's diagonal.

    Args:
        distances: result of `surface_distances`.
    """
    return float(max(np.percentile(distances[0], 95), np.percentile(distances[1], 95)))


def assd(distances: tuple[np.ndarray, np.ndarray]) -> float:
    """Average symmetric surface distance in pixels, >= 0, lower is better.

    The mean of both directions' means (as medpy; MONAI takes the mean of all distances together).
    Both masks empty: 0; one empty: the image's diagonal.

    Args:
        distances: result of `surface_distances`.
    """
    return float((distances[0].mean() + distances[1].mean()) / 2)


def cl_dice(predicted: np.ndarray, true: np.ndarray) -> float:
    """Centre-line Dice in [0, 1] (Shit et al., CVPR 2021).

    The harmonic mean of the share of the prediction's skeleton that lies in the truth and the share
    of the truth's skeleton that lies in the prediction. Both masks empty: 1; one empty: 0.

    Args:
        predicted: bool [H, W].
        true: bool [H, W].
    """
    if not predicted.any() or not true.any():
        return float(predicted.any() == true.any())
    precision = true[_skeleton(predicted)].mean()
    sensitivity = predicted[_skeleton(true)].mean()
    whole = precision + sensitivity
    return float(2 * precision * sensitivity / whole) if whole else 0.0


def betti0_error(predicted: np.ndarray, true: np.ndarray) -> float:
    """Difference in the number of connected components, >= 0, lower is better.

    |b0(prediction) - b0(truth)| over the whole image with 8-connectivity. An empty mask has no
    component.

    Args:
        predicted: bool [H, W].
        true: bool [H, W].
    """
    ours, theirs = (ndimage.label(mask, _EIGHT)[1] for mask in (predicted, true))
    return float(abs(ours - theirs))


def _skeleton(mask: np.ndarray) -> np.ndarray:
    """Centre line of a mask; the mask itself where thinning leaves nothing."""
    thin = skeletonize(mask)
    return thin if thin.any() else mask


def _boundary(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)
