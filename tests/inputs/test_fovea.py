"""Which piece of a FAZ mask is kept."""

import numpy as np
import pytest

from s2a_jax.inputs.fovea import central_piece


def drawn(*boxes, shape=(60, 80)):
    """A mask of boxes (top, left, bottom, right)."""
    mask = np.zeros(shape, bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


CENTRE = (25, 35, 35, 45)  # of 100 pixels


@pytest.mark.parametrize(
    ("boxes", "kept"),
    [
        ([CENTRE], 0),
        ([(0, 0, 20, 60), CENTRE], 1),  # a larger dark area away from the fovea
        ([(10, 20, 20, 30), (28, 38, 30, 40)], 0),  # 4 pixels at the centre are a speck
        ([(10, 20, 20, 30), (28, 38, 30, 41)], 1),  # 6 of 100 are not
        # By the nearest pixel, not by the middle: a large FAZ reaches the centre.
        ([(0, 0, 30, 40), (34, 44, 44, 54)], 0),
        ([(25, 20, 35, 30), (25, 50, 34, 60)], 0),  # equally near: the larger
        ([(0, 0, 5, 5)], 0),
    ],
)
def test_the_piece_nearest_to_the_centre_is_kept(boxes, kept):
    mask, dropped = central_piece(drawn(*boxes))
    np.testing.assert_array_equal(mask, drawn(boxes[kept]))
    assert dropped == len(boxes) - 1


def test_pieces_that_touch_by_a_corner_are_one_and_holes_are_filled():
    mask = drawn(CENTRE, (35, 45, 40, 50))
    mask[28:31, 38:41] = False
    found = central_piece(mask)
    np.testing.assert_array_equal(found.mask, drawn(CENTRE, (35, 45, 40, 50)))
    assert found.dropped == 0 and not mask[29, 39]


def test_an_empty_mask_stays_empty():
    found = central_piece(np.zeros((9, 9), bool))
    assert not found.mask.any() and found.dropped == 0
