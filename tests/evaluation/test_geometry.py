"""Distances, centre lines and components against brute force."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import skeletonize

from s2a_jax.evaluation.geometry import assd, betti0_error, cl_dice, hd95, surface_distances
from s2a_jax.evaluation.regions import Window, window_around

EMPTY, FULL = np.zeros((23, 31), bool), np.ones((23, 31), bool)
POINT, CORNER = EMPTY.copy(), EMPTY.copy()
POINT[7, 9], CORNER[:4, :6] = True, True


def blobs(seed, share):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(23, 31)), 1.2)
    return noise > np.quantile(noise, 1 - share)


PAIRS = [
    *((blobs(seed, 0.2), blobs(seed + 50, 0.3)) for seed in range(6)),
    (blobs(7, 0.1), np.roll(blobs(7, 0.1), 2, axis=1)),
    (POINT, CORNER),
    (CORNER, FULL),
    (POINT, blobs(9, 0.4)),
    (blobs(9, 0.4), blobs(9, 0.4)),
]


def boundary(mask):
    """Pixels with a side neighbour outside the mask."""
    height, width = mask.shape
    found = []
    for y, x in np.argwhere(mask):
        sides = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if any(
            not (0 <= a < height and 0 <= b < width) or not mask[a, b] for a, b in sides
        ):  # fmt: skip
            found.append((y, x))
    return np.array(found, float)


@pytest.mark.parametrize(("predicted", "true"), PAIRS)
def test_surface_distances_by_brute_force(predicted, true):
    ours, theirs = boundary(predicted), boundary(true)
    between = np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(axis=-1))
    there, back = between.min(axis=1), between.min(axis=0)
    distances = surface_distances(predicted, true)
    # MONAI: the larger of both percentiles; medpy: the mean of both means.
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hd95(distances) == pytest.approx(expected, abs=1e-3)
    assert assd(distances) == pytest.approx((there.mean() + back.mean()) / 2, abs=1e-3)


@pytest.mark.parametrize(("predicted", "true"), PAIRS)
def test_cl_dice_and_components(predicted, true):
    ours, theirs = (np.argwhere(skeletonize(mask)) for mask in (predicted, true))
    precision = sum(true[y, x] for y, x in ours) / len(ours)
    sensitivity = sum(predicted[y, x] for y, x in theirs) / len(theirs)
    whole = precision + sensitivity
    expected = 2 * precision * sensitivity / whole if whole else 0
    assert cl_dice(predicted, true) == pytest.approx(expected, abs=1e-3)
    counts = [label(mask, connectivity=2).max() for mask in (predicted, true)]
    assert betti0_error(predicted, true) == abs(counts[0] - counts[1])


@pytest.mark.parametrize("full", [POINT, FULL, blobs(3, 0.2)])
def test_empty_masks_are_defined(full):
    diagonal = np.hypot(23, 31)
    for pair, distance, overlap in (
        ((EMPTY, EMPTY), 0, 1),
        ((EMPTY, full), diagonal, 0),
        ((full, EMPTY), diagonal, 0),
    ):
        distances = surface_distances(*pair)
        assert hd95(distances) == assd(distances) == distance
        assert cl_dice(*pair) == overlap
    assert betti0_error(EMPTY, full) == label(full, connectivity=2).max()


@pytest.mark.parametrize("centre", [(5, 5), (50, 40), (95, 20), (50, 99)])
def test_the_window_contains_the_faz_and_stays_inside(centre):
    faz = np.zeros((100, 110), bool)
    faz[max(0, centre[0] - 5) : centre[0] + 6, max(0, centre[1] - 4) : centre[1] + 5] = True
    top, left, bottom, right = window_around(faz, 40)
    assert (bottom - top, right - left) == (40, 40)
    assert 0 <= top and 0 <= left and bottom <= 100 and right <= 110
    assert faz[top:bottom, left:right].sum() == faz.sum()
    if 20 < centre[0] < 80 and 20 < centre[1] < 90:
        middle = np.array([(top + bottom - 1) / 2, (left + right - 1) / 2])
        assert np.abs(middle - centre).max() <= 0.5
    assert window_around(faz, 300) == (0, 0, 100, 110)
    assert window_around(np.zeros_like(faz), 40) is None


def test_window_side_in_both_units():
    assert Window.parse("120", "--window").pixels(None) == 120
    assert Window.parse("1200um", "--window").pixels(15.0) == 80
