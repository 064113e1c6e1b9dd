"""The analysis of an eye, from probabilities that are known."""

import numpy as np
import pytest

from s2a_jax.analysis.analysis import EyeFacts, analyze
from s2a_jax.analysis.html import EyeEntry, fragment, page
from s2a_jax.analysis.pictures import draw, heat, layer, outline
from s2a_jax.biomarkers.measure import measure
from s2a_jax.evaluation.pictures import FAZ_COLOUR
from s2a_jax.inference.pieces import Computed
from s2a_jax.inference.scale import scale_for

SIZE, FINE = 120, 240  # px of the same 1.2 mm


def maps(size):
    """A vertical vessel of probability 0.75 and a disc of 0.9, at any size."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    vessel = np.abs(x - 0.2) < 0.05
    disc = (x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.2**2
    return {
        "rv": np.where(vessel, 0.75, 0.1).astype(np.float32),
        "faz": np.where(disc, 0.9, 0).astype(np.float32),
    }


def computed(um_per_px=10.0, own=SIZE, seen=SIZE, tasks=("rv", "faz")):
    scale = scale_for((own, own), um_per_px, None if um_per_px is None else (10.0, 10.0))
    keep = {size: {t: maps(size)[t] for t in tasks} for size in (own, seen)}
    return Computed(keep[own], keep[seen], scale.network_um_per_px, None, scale)


def test_a_dark_area_beside_the_faz_does_not_lower_what_is_expected_of_its_mask():
    found = computed()
    alone = analyze(np.full((SIZE, SIZE), 0.5), found, EyeFacts(10.0, "field-mm"))
    for probability in (found.probability, found.at_network):
        probability["faz"][:20, :20] = 0.8
    beside = analyze(np.full((SIZE, SIZE), 0.5), found, EyeFacts(10.0, "field-mm"))
    np.testing.assert_array_equal(beside.faz, alone.faz)
    # Of the disc alone: 2 * 0.9 n / (0.9 n + n).
    assert alone.expected_dice["faz"] == pytest.approx(1.8 / 1.9, rel=1e-6)
    assert beside.expected_dice["faz"] == pytest.approx(1.8 / 1.9, rel=1e-6)


def test_masks_numbers_and_confidence_by_hand():
    analysis = analyze(np.full((SIZE, SIZE), 0.5), computed(), EyeFacts(10.0, "field-mm"))
    assert analysis.rv.sum() == 12 * SIZE  # 10 % of the width
    assert repr(analysis).startswith("Analysis(120x120 px, ")
    assert f"rv 10.0%, faz {analysis.faz.mean():.1%}" in repr(analysis)  # near pi 0.2^2
    inside = 12 * SIZE
    expected = 2 * 0.75 * inside / (0.75 * inside + 0.1 * (SIZE**2 - inside) + inside)
    assert analysis.expected_dice["rv"] == pytest.approx(expected, rel=1e-6)
    bits = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert analysis.mean_entropy["rv"] == pytest.approx(bits, rel=1e-6)
    assert analysis.uncertainty["faz"].max() == pytest.approx(
        -0.9 * np.log2(0.9) - 0.1 * np.log2(0.1)
    )
    most = np.maximum(analysis.uncertainty["rv"], analysis.uncertainty["faz"])
    assert (analysis.uncertainty_picture() == heat(analysis.picture, most)).all()
    row = analysis.row()
    assert row["vessel_density"] == pytest.approx(0.1)
    assert (row["height_px"], row["rv_px"], row["pitch_source"]) == (SIZE, 12 * SIZE, "field-mm")
    assert row["faz_area_mm2"] == pytest.approx(np.pi * 0.24**2, rel=0.01)


def test_biomarkers_are_those_at_the_pitch_of_the_network():
    fine = computed(5.0, own=FINE)
    analysis = analyze(np.full((FINE, FINE), 0.5), fine, EyeFacts(5.0))
    assert analysis.rv.shape == (FINE, FINE)
    masks = {task: p >= 0.5 for task, p in maps(SIZE).items()}
    assert analysis.biomarkers == measure(masks["rv"], masks["faz"], um_per_px=10.0)
    assert analysis.notes == (
        "Predicted at 10 um per pixel, as the network was trained, instead of 5.",
    )
    # So is the expected Dice: enlarging blurs probabilities.
    blurred = fine._replace(probability={t: 0.8 * p for t, p in fine.probability.items()})
    found = analyze(np.full((FINE, FINE), 0.5), blurred, EyeFacts(5.0)).expected_dice["rv"]
    assert found == pytest.approx(2 * 0.075 / (0.075 + 0.09 + 0.1), rel=1e-6)


def test_the_threshold_decides():
    analysis = analyze(np.full((SIZE, SIZE), 0.5), computed(), EyeFacts(10.0), threshold=0.8)
    assert not analysis.rv.any()
    assert analysis.faz.any()
    assert np.isnan(analysis.row()["rv_entropy_bits"])


def test_without_pitch_nothing_is_measured_and_a_sentence_says_so():
    analysis = analyze(np.full((SIZE, SIZE), 0.5), computed(None), EyeFacts())
    assert analysis.biomarkers == {}
    assert "nothing is measured" in fragment(analysis)


def test_a_task_without_training_is_left_out():
    analysis = analyze(np.full((SIZE, SIZE), 0.5), computed(tasks=("rv",)), EyeFacts(10.0))
    assert analysis.faz is None
    assert np.isnan(analysis.row()["faz_px"])
    assert np.isnan(analysis.biomarkers["faz_area_mm2"])
    assert analysis.biomarkers["vessel_density"] == pytest.approx(0.1)
    assert (analysis.overlay() == draw(analysis.picture, analysis.rv, None)).all()


def test_pictures():
    square = np.zeros((40, 40), bool)
    square[10:20, 10:20] = True
    assert outline(square).sum() == 36  # the rim of 10 x 10
    edge = np.zeros((40, 40), bool)
    edge[:10, :10] = True
    assert outline(edge).sum() == 19  # none along the border of the image
    drawn = draw(np.zeros((40, 40)), None, square)
    assert tuple(drawn[10, 10]) == FAZ_COLOUR
    assert not drawn[15, 15].any()
    assert (layer(square, (1, 2, 3))[..., 3] == 255 * square).all()
    warm = heat(np.full((1, 2), 0.4), np.array([[0.0, 1.0]]))
    assert warm.tolist() == [[[61, 61, 61], [255, 242, 0]]]


def test_pages_escape_names_and_list_what_failed():
    analysis = analyze(np.full((SIZE, SIZE), 0.5), computed(), EyeFacts(10.0))
    entries = [EyeEntry("<b>x</b>", "a.png", analysis.row(), ("A & B.",))]
    text = page(entries, title="Two eyes", failed=[("y.png", "broken <file>")])
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "A &amp; B." in text
    assert "broken &lt;file&gt;" in text
    assert "<b>" not in text
    assert f"{analysis.biomarkers['faz_area_mm2']:.4g}" in text
