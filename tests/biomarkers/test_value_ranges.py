"""Every value of any mask lies in the range that the table in docs/biomarkers.md states."""

import re
from pathlib import Path

import numpy as np
import pytest
from shapes import UM, ellipse, line

from benchmarks.biomarkers_degenerate import degenerate_masks
from s2a_jax.biomarkers.measure import is_biomarker, measure

PAGE = (Path(__file__).parents[2] / "docs/biomarkers.md").read_text()
ROUNDING = 1e-9
# Images of one pixel, of one row, too small for fractal dimensions; 65 and 80: the last rows lie
# in no box of some size, or in few.
SIZES = [(1, 1), (1, 2), (1, 64), (40, 1), (2, 2), (3, 5), (5, 75), (31, 33), (65, 65), (80, 80)]


def stated_ranges(height, width, um):
    """Column -> (lowest, highest value) in an image of this size."""
    mm, diagonal = um / 1000, np.hypot(height, width)
    bounds = {
        "image area": height * width * mm**2,
        "image width": width * mm,
        "image height": height * mm,
        "image diagonal in mm": diagonal * mm,
        "image diagonal in um": diagonal * um,
        "1.5 per pixel": 1.5 / mm,
        "2 per pixel": 2 / mm,
        "1 per pixel": 1 / mm**2,
        "pixels": height * width,
    }
    ranges = {}
    columns = PAGE.split("## Columns")[1].split("## ")[0]
    for name, stated in re.findall(
        r"^\| `(\w+)[^|]*\|[^|]*\| ([^|;]+?)(?:;[^|]*)? \|", columns, re.M
    ):
        if stated.endswith(" up"):
            low, high = stated.removesuffix(" up"), np.inf
        else:
            low, high = stated.split(" to ")
            high = bounds[high] if high in bounds else float(high)
        ranges[name] = (float(low), high)
    return ranges


def check(rv, faz, um=UM):
    found = measure(rv, faz, um_per_px=um)
    shape = rv.shape if faz is None else faz.shape
    ranges = stated_ranges(*shape, um)
    for name, value in found.items():
        if not is_biomarker(name):
            continue
        needed = {"faz_": faz, "fd300": None if faz is None else rv}
        source = next((mask for key, mask in needed.items() if name.startswith(key)), rv)
        if source is None:
            assert np.isnan(value), name
        elif not np.isnan(value):
            row = "vessel_density_etdrs_" if "_etdrs_" in name else name
            low, high = ranges[row]
            assert low - ROUNDING <= value <= high * (1 + ROUNDING), (name, value, low, high)
    return found


def test_the_table_has_a_range_for_every_biomarker():
    mask = ellipse(20, 20)
    names = {
        "vessel_density_etdrs_" if "_etdrs_" in name else name
        for name in measure(mask, mask, um_per_px=UM)
        if is_biomarker(name)
    }
    assert stated_ranges(1, 1, 1).keys() == names


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_degenerate_masks(shape):
    masks = degenerate_masks(*shape)
    for mask in masks.values():
        check(mask, None)
        check(None, mask)
        check(mask, mask)
        check(mask, masks["disc"], um=2.3)


def test_random_masks():
    random = np.random.default_rng(5)
    for _ in range(200):
        shape = random.integers(1, 72, 2)
        rv, faz = (random.random(shape) < random.random() ** 2 for _ in range(2))
        check(rv, faz, um=random.uniform(0.5, 30))


def test_small_regions_have_no_outline():
    """The circularity is that of a disc from a radius of 5 pixels on, or missing; never above."""
    random = np.random.default_rng(6)
    for radius in (0.8, 1, 1.5, 2, 3, 4, 5, 6, 8):
        for _ in range(20):
            disc = ellipse(radius, radius, centre=100 + random.uniform(-0.5, 0.5, 2))
            found = check(None, disc)
            assert found["faz_area_mm2"] == pytest.approx(disc.sum() * 1e-4)
            outline = [found[f"faz_{name}"] for name in ("perimeter_mm", "feret_mm", "solidity")]
            assert np.isnan(outline).all() == np.isnan(found["faz_circularity"])
            assert np.isnan(found["faz_circularity"]) or radius >= 4
            assert radius < 5 or found["faz_circularity"] == pytest.approx(1, abs=0.015)


def test_values_that_a_mask_does_not_define():
    undefined = {
        "full": ["vessel_diameter_index_um", "mean_calibre_um", "skeleton_fractal_dimension"],
        "one pixel": ["fractal_dimension", "vessel_diameter_index_um", "mean_calibre_um"],
        "two corners": ["fractal_dimension", "skeleton_fractal_dimension"],
        "disc": ["vessel_diameter_index_um", "skeleton_fractal_dimension", "tortuosity"],
        "small disc": ["vessel_diameter_index_um", "fractal_dimension", "tortuosity"],
    }
    masks = degenerate_masks(304, 304)
    masks["small disc"] = np.pad(ellipse(11, 11), 52)
    for kind, names in undefined.items():
        found = measure(masks[kind], None, um_per_px=UM)
        assert np.isnan([found[name] for name in names]).all(), kind
    # A vessel of three times its width is short, but a vessel; its centreline ends early.
    rod = measure(line(10, 0.4, (100, 100), half_length=15), None, um_per_px=UM)
    assert rod["vessel_diameter_index_um"] == pytest.approx(10 * UM * 30 / 20, rel=0.1)
    # What is defined is right: a disc is as wide as its diameter, a full mask fills the plane.
    disc = measure(masks["disc"], None, um_per_px=UM)
    assert disc["mean_calibre_um"] == pytest.approx(0.8 * 304 * UM, rel=0.01)
    assert measure(masks["full"], None, um_per_px=UM)["fractal_dimension"] == 2


def test_checkerboard():
    """Pixels that touch at corners: every branch has two pixels; by hand."""
    side = 256
    mask = degenerate_masks(side, side)["checkerboard of 1 px"]
    found = check(mask, mask)
    # Every square of 2x2 pixels holds one diagonal.
    length = np.sqrt(2) * (side - 1) ** 2
    assert found["skeleton_density_per_mm"] == pytest.approx(
        length / (side**2 * UM / 1000), rel=0.01
    )
    assert found["vessel_diameter_index_um"] == pytest.approx(UM * side**2 / 2 / length, rel=0.01)
    # All walls are diamonds around one pixel each.
    assert found["perimeter_index_per_px"] == pytest.approx(np.sqrt(2), rel=0.01)


def test_noise():
    mask = degenerate_masks(512, 512)["noise, 80 %"]
    check(mask, mask)
