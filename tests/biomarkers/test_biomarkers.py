"""Vessels, and checks of any mask; the tolerances are the errors in docs/biomarkers.md."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from shapes import MM, SIDE, UM, X, Y, ellipse, length_in_image, line, turned

from s2a_jax.biomarkers.fractal import box_counting_dimension
from s2a_jax.biomarkers.measure import is_biomarker, measure
from s2a_jax.errors import UserError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("width", [2, 3, 5, 7])
def test_straight_vessels(width):
    calibres = []
    for angle in np.linspace(0, np.pi, 8):
        centre = 100 + RNG.uniform(-0.5, 0.5, 2)
        found = measure(line(width, angle, centre), None, um_per_px=UM)
        length, image = length_in_image(angle, centre), SIDE**2
        assert found["skeleton_density_per_mm"] == pytest.approx(length / image / MM, rel=0.01)
        assert found["perimeter_index_per_px"] == pytest.approx(2 * length / image, rel=0.015)
        assert found["perimeter_index_per_mm"] == pytest.approx(
            found["perimeter_index_per_px"] / MM
        )
        assert found["complexity"] == pytest.approx(length / (np.pi * width), rel=0.05)
        assert found["vessel_diameter_index_um"] == pytest.approx(width * UM, abs=0.15 * UM)
        assert found["mean_calibre_um"] == pytest.approx(width * UM, abs=0.15 * UM)
        assert found["median_calibre_um"] == pytest.approx(width * UM, abs=0.3 * UM)
        assert 1 <= found["tortuosity"] < 1.006
        assert found["branch_point_density_per_mm2"] == 0
        calibres.append(found["mean_calibre_um"])
    assert np.mean(calibres) == pytest.approx(width * UM, abs=0.05 * UM)


def test_the_median_calibre_is_that_of_most_of_the_length():
    mask = (np.abs(Y - 50) <= 1.5) | (np.abs(Y - 100) <= 1.5) | (np.abs(Y - 150) <= 4.5)
    found = measure(mask, None, um_per_px=UM)
    assert found["median_calibre_um"] == pytest.approx(4 * UM, abs=0.3 * UM)
    assert found["mean_calibre_um"] == pytest.approx((4 + 4 + 10) / 3 * UM, abs=0.3 * UM)


def test_short_branches_have_no_tortuosity():
    for half_length, is_counted in ((5, False), (9, True)):
        rod = line(2, 0.0, (100.5, 100.5), half_length=half_length)
        assert np.isfinite(measure(rod, None, um_per_px=UM)["tortuosity"]) == is_counted


def test_free_ends_are_half_a_calibre_short():
    for width in (3, 6):
        lengths = []
        for angle in np.linspace(0, np.pi, 8):
            rod = line(width, angle, (100.2, 99.7), half_length=70)
            found = measure(rod, None, um_per_px=UM)
            lengths.append(found["skeleton_density_per_mm"] * SIDE**2 * MM)
            assert found["branch_point_density_per_mm2"] == 0  # no spurs
        np.testing.assert_allclose(lengths, 140 - width, atol=3)


@pytest.mark.parametrize(("amplitude", "period"), [(5, 40), (10, 60), (15, 50)])
def test_tortuosity_of_waves(amplitude, period):
    x = np.linspace(0, 200, 4001)
    wave = 100 + amplitude * np.sin(2 * np.pi * x / period)
    true = np.hypot(np.diff(x), np.diff(wave)).sum() / 200
    points = np.stack([Y, X], axis=-1).reshape(-1, 2)
    near = cKDTree(np.stack([wave, x], axis=1)).query(points)[0].reshape(Y.shape)
    for turn in range(2):
        found = measure(np.rot90(near <= 2, turn), None, um_per_px=UM)
        assert found["tortuosity"] == pytest.approx(true, rel=0.015)


def test_the_mean_tortuosity_is_weighted_by_length():
    """A straight vessel of 40 pixels and a half circle of radius 50, whose ratio is pi / 2."""
    parts = [(np.abs(Y - 150) <= 2) & (np.abs(X - 100) <= 22),
             (np.abs(np.hypot(Y - 100, X - 100) - 50) <= 2) & (Y <= 100)]  # fmt: skip
    alone = [measure(part, None, um_per_px=UM) for part in parts]
    ratios, arcs = ([one[name] for one in alone]
                    for name in ("tortuosity", "skeleton_density_per_mm"))  # fmt: skip
    assert ratios == pytest.approx([1, np.pi / 2], rel=0.05) and arcs[1] > 3 * arcs[0]
    both = measure(parts[0] | parts[1], None, um_per_px=UM)["tortuosity"]
    assert both == pytest.approx(np.average(ratios, weights=arcs))


def test_a_bump_on_a_vessel_is_no_branch():
    """Thinning makes a spur of it, which is removed; a branch of three times the length stays."""
    vessel = np.abs(Y - 100) <= 4
    plain = measure(vessel, None, um_per_px=UM)
    for height, branches in ((4, 0), (12, 1)):
        bump = (np.abs(X - 100) <= 1.5) & (Y < 100) & (Y > 96 - height)
        assert not (bump <= vessel).all()
        found = measure(vessel | bump, None, um_per_px=UM)
        assert found["branch_point_density_per_mm2"] * SIDE**2 * MM**2 == pytest.approx(branches)
        longer = (found["skeleton_density_per_mm"] - plain["skeleton_density_per_mm"]) * SIDE**2
        assert longer * MM == pytest.approx(12 + 4 if branches else 0, abs=3)


def test_a_short_branch_that_leaves_the_image_is_one():
    vessel, branch = np.abs(Y - 5) <= 4, (np.abs(X - 100) <= 1.5) & (Y < 5)
    for mask, branches in ((vessel, 0), (vessel | branch, 1)):
        density = measure(mask, None, um_per_px=UM)["branch_point_density_per_mm2"]
        assert density * SIDE**2 * MM**2 == pytest.approx(branches)


def test_rings_have_length_but_no_tortuosity():
    ring = np.abs(np.hypot(Y - 100, X - 100) - 50) <= 2
    found = measure(ring, None, um_per_px=UM)
    assert found["skeleton_density_per_mm"] * SIDE**2 * MM == pytest.approx(
        2 * np.pi * 50, rel=0.01
    )
    # Two walls of radius 48 and 52; area 2 pi 50 x 4.
    assert found["complexity"] == pytest.approx((200 * np.pi) ** 2 / (1600 * np.pi**2), rel=0.03)
    assert np.isnan(found["tortuosity"])
    assert found["branch_point_density_per_mm2"] == 0


@pytest.mark.parametrize("width", [3, 5, 8])
def test_branchings_and_crossings_are_one_branch_point(width):
    for angle in np.linspace(0, np.pi, 4):
        for other in (60, 90):
            centre = 100 + RNG.uniform(-0.5, 0.5, 2)
            along, _ = turned(angle + np.deg2rad(other), centre)
            second = line(width, angle + np.deg2rad(other), centre, 80)
            crossing = line(width, angle, centre, 80) | second
            branching = line(width, angle, centre, 80) | (second & (along >= 0))
            for mask in (crossing, branching):
                density = measure(mask, None, um_per_px=UM)["branch_point_density_per_mm2"]
                assert density * SIDE**2 * MM**2 == pytest.approx(1)


def test_the_same_shapes_at_half_the_pitch():
    """Twice the pixels at half the pitch: values in mm stay, also where vessels meet."""
    values = []
    for scale in (1, 2):
        y, x = np.mgrid[: 200 * scale, : 200 * scale] / scale
        radius = np.hypot(y - 97, x - 104)
        vessels = np.abs(y - 60 - 10 * np.sin(x / 12)) <= 3
        vessels |= np.abs(x - 140 - 8 * np.sin(y / 20)) <= 3
        vessels &= radius > 25
        values.append(measure(vessels, radius <= 20, um_per_px=UM / scale, laterality="OD"))
    for name, value in values[0].items():
        per_px = name == "perimeter_index_per_px" or "fractal" in name or not is_biomarker(name)
        if not (np.isnan(value) or per_px):
            assert values[1][name] == pytest.approx(value, rel=0.03, abs=0.005), name


def test_fractal_dimensions():
    carpet, gasket = np.ones((1, 1), bool), np.ones((1, 1), bool)
    for _ in range(5):
        hole = np.zeros_like(carpet)
        carpet = np.block([[carpet] * 3, [carpet, hole, carpet], [carpet] * 3])
    for _ in range(8):
        gasket = np.block([[gasket, np.zeros_like(gasket)], [gasket, gasket]])
    for mask, dimension in (
        (carpet, np.log(8) / np.log(3)),
        (gasket, np.log2(3)),
        (np.ones((304, 304), bool), 2),
        (line(1.2, 0.4, (100, 100)), 1),
    ):
        assert box_counting_dimension(mask) == pytest.approx(dimension, abs=0.06)
    found = measure(gasket, None, um_per_px=UM)
    assert found["fractal_dimension"] == box_counting_dimension(gasket)
    assert found["skeleton_fractal_dimension"] == pytest.approx(np.log2(3), abs=0.06)


def test_axial_length():
    mask = ellipse(20, 20)
    plain = measure(mask, mask, um_per_px=UM)
    same = measure(mask, mask, um_per_px=UM, axial_length_mm=23.95)
    long = measure(mask, mask, um_per_px=UM, axial_length_mm=26.0)
    cirrus = measure(
        mask, mask, um_per_px=UM, axial_length_mm=26.0, reference_axial_length_mm=24.46
    )
    assert [plain["axial_length_applied"], same["axial_length_applied"]] == [0, 1]
    assert same["faz_area_mm2"] == plain["faz_area_mm2"]
    factor = (26.0 - 1.82) / (23.95 - 1.82)
    for name, power in (
        ("um_per_px", 1),
        ("faz_area_mm2", 2),
        ("faz_perimeter_mm", 1),
        ("faz_circularity", 0),
        ("skeleton_density_per_mm", -1),
        ("mean_calibre_um", 1),
        ("branch_point_density_per_mm2", -2),
    ):
        assert long[name] == pytest.approx(plain[name] * factor**power), name
    assert cirrus["um_per_px"] == pytest.approx(UM * (26.0 - 1.82) / (24.46 - 1.82))


def test_degenerate_masks():
    """No error, no warning, always the same names, and the right value where one is defined."""
    empty, full = np.zeros((64, 64), bool), np.ones((64, 64), bool)
    pixel = empty.copy()
    pixel[30, 30] = True
    two = ellipse(20, 20, centre=(60, 60)) | ellipse(10, 10, centre=(150, 150))
    two[60, 60] = False  # a hole, filled
    cut = ellipse(30, 30, centre=(100, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {
            name: measure(mask, mask, um_per_px=1000.0)
            for name, mask in (("empty", empty), ("full", full), ("pixel", pixel), ("cut", cut))
        }
        several = measure(two, two, um_per_px=UM)
        tiny = measure(np.ones((1, 1)), np.ones((3, 1))[:1], um_per_px=UM)
    assert all(list(one) == list(several) for one in (*found.values(), tiny))
    assert (found["empty"]["faz_area_mm2"], found["empty"]["faz_components"]) == (0, 0)
    assert (found["empty"]["vessel_density"], found["empty"]["skeleton_density_per_mm"]) == (0, 0)
    assert np.isnan(
        [found["empty"][k] for k in ("faz_circularity", "mean_calibre_um", "fd300")]
    ).all()
    assert (found["full"]["vessel_density"], found["full"]["faz_area_mm2"]) == (1, 64**2)
    assert np.isnan(found["full"]["mean_calibre_um"])
    assert found["pixel"]["faz_area_mm2"] == 1
    assert found["pixel"]["vessel_density"] == 1 / 64**2
    assert (found["cut"]["faz_touches_border"], several["faz_touches_border"]) == (1, 0)
    assert several["faz_components"] == 2
    assert several["faz_area_mm2"] == pytest.approx(np.pi * (20 * MM) ** 2, rel=0.01)
    only_rv, only_faz = measure(two, None, um_per_px=UM), measure(None, two, um_per_px=UM)
    assert np.isnan(only_rv["faz_area_mm2"])
    assert np.isnan(only_faz["vessel_density"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"um_per_px": (10.0, 10.2)}, "square pixels"),
        ({"um_per_px": 0.0}, "pixel pitch"),
        ({"um_per_px": float("nan")}, "pixel pitch"),
        ({"laterality": "both"}, "neither OD"),
        ({"axial_length_mm": 2.4}, "axial length"),
        ({"rv": None, "faz": None}, "nothing to measure"),
        ({"faz": np.ones((3, 4))}, "same image"),
        ({"rv": np.array([[0, 100, 255]])}, "one structure"),
        ({"rv": np.zeros((2, 2, 2))}, r"expected \[H, W\]"),
    ],
)
def test_unusable_arguments_are_refused(changed, message):
    arguments = {"rv": np.ones((3, 3)), "faz": np.ones((3, 3)), "um_per_px": UM} | changed
    with pytest.raises(UserError, match=message):
        measure(arguments.pop("rv"), arguments.pop("faz"), **arguments)


def test_nearly_square_pixels_and_all_kinds_of_masks():
    mask = ellipse(20, 20)
    assert measure(mask, None, um_per_px=(10.0, 10.09))["um_per_px"] == pytest.approx(10.045, 1e-4)
    expected = measure(mask, mask, um_per_px=UM)
    for same in (mask.astype(np.uint8), mask * np.uint8(255), mask.astype(float)):
        np.testing.assert_equal(measure(same, same, um_per_px=UM), expected)


def test_every_column_is_documented():
    found = measure(ellipse(20, 20), ellipse(20, 20), um_per_px=UM)
    names = {name for name in found if "_etdrs_" not in name} | {"vessel_density_etdrs_"}
    page = (Path(__file__).parents[2] / "docs/biomarkers.md").read_text()
    assert not [name for name in names if name not in measure.__doc__]
    page = page.replace("`_y_mm`", "faz_centroid_y_mm")
    assert not [name for name in names if name not in page]
