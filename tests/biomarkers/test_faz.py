"""The FAZ and regions around it; the tolerances are the errors in docs/biomarkers.md."""

import numpy as np
import pytest
from scipy.special import ellipe
from shapes import MM, SIDE, UM, X, Y, ellipse
from skimage.draw import polygon2mask

from s2a_jax.biomarkers.measure import measure

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("a", "b"), [(12, 12), (20, 20), (40, 40), (30, 15), (20, 16), (45, 30)])
def test_faz_of_ellipses(a, b):
    perimeter = 4 * a * ellipe(1 - (b / a) ** 2)
    area = np.pi * a * b
    small = a == 12  # 0.045 mm^2: the grid itself makes a difference
    for angle in RNG.uniform(0, np.pi, 6):
        centre = 100 + RNG.uniform(-0.5, 0.5, 2)
        found = measure(None, ellipse(a, b, angle, centre), um_per_px=UM)
        close = {
            "faz_area_mm2": (area * MM**2, 0.035 if small else 0.01),
            "faz_perimeter_mm": (perimeter * MM, 0.015 if small else 0.01),
            "faz_circularity": (4 * np.pi * area / perimeter**2, 0.02),
            "faz_acircularity": (perimeter / (2 * np.sqrt(np.pi * area)), 0.01),
            "faz_axis_ratio": (a / b, 0.03 if small else 0.015),
            "faz_solidity": (1, 0.01),
        }
        for name, (value, error) in close.items():
            assert found[name] == pytest.approx(value, rel=error), name
        assert found["faz_feret_mm"] == pytest.approx(2 * a * MM, abs=0.8 * MM)
        where = found["faz_centroid_y_mm"], found["faz_centroid_x_mm"]
        np.testing.assert_allclose(where, centre * MM, atol=0.2 * MM)
        assert found["faz_components"] == 1
        assert found["faz_touches_border"] == 0


def star(scale):
    """Star of five points, radii 80 and 40, and the share of its pentagon that it fills."""
    turn = np.arange(10) * np.pi / 5 + 0.3
    radius = np.where(np.arange(10) % 2, 40, 80)[:, None]
    points = 100 + radius * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    solidity = 40 / (80 * np.cos(np.pi / 5))
    return polygon2mask((SIDE * scale, SIDE * scale), points * scale - 0.5), solidity


def dumbbell(scale):
    """Discs of radius 30, 110 apart, joined by a bar 16 wide; the convex hull is a stadium."""
    y, x = (np.mgrid[: SIDE * scale, : SIDE * scale] + 0.5) / scale - 100
    along, across = np.cos(0.4) * y + np.sin(0.4) * x, np.cos(0.4) * x - np.sin(0.4) * y
    mask = (np.abs(along) <= 55) & (np.abs(across) <= 8)
    mask |= np.hypot(np.abs(along) - 55, across) <= 30
    inside = 8 * np.sqrt(30**2 - 8**2) + 30**2 * np.arcsin(8 / 30)  # of the bar, in a half-disc
    area = 2 * np.pi * 30**2 + 16 * 110 - 2 * inside
    return mask, area / (np.pi * 30**2 + 2 * 30 * 110)


@pytest.mark.parametrize("shape", [star, dumbbell])
@pytest.mark.parametrize(("scale", "error"), [(1, 0.02), (6, 0.003)])
def test_solidity_of_shapes_with_dents(shape, scale, error):
    mask, solidity = shape(scale)
    assert 0.6 < solidity < 0.8
    found = measure(None, mask, um_per_px=UM / scale)["faz_solidity"]
    assert found == pytest.approx(solidity, abs=error)


@pytest.mark.parametrize(("side", "rings"), [(304, (2.5,)), (400, (3.0, 6.0))])
def test_etdrs_sectors(side, rings):
    um = 3000 / 304 if side == 304 else 15.0
    y, x = ((np.arange(side) + 0.5 - side / 2) * um / 1000 for _ in range(2))
    y, x = y[:, None], x[None, :]
    nasal = (x > 0.5) & (x < rings[0] / 2) & (np.abs(y) < 0.3)  # of a right eye
    above = (y < -0.5) & (y > -rings[0] / 2) & (np.abs(x) < 0.2)
    faz = np.hypot(y, x) < 0.25
    right = measure(nasal | above, faz, um_per_px=um, laterality="R")
    left = measure((nasal | above)[:, ::-1], faz[:, ::-1], um_per_px=um, laterality="os")
    unknown = measure(nasal | above, None, um_per_px=um)
    sector = "vessel_density_etdrs_"
    quarter = np.pi * (rings[0] ** 2 - 1) / 16  # mm^2
    assert right[f"{sector}inner_nasal"] == pytest.approx(
        nasal.sum() * (um / 1000) ** 2 / quarter, rel=0.04
    )
    assert right[f"{sector}inner_superior"] > 0.1
    assert right[f"{sector}inner_temporal"] == right[f"{sector}inner_inferior"] == 0
    assert right["etdrs_inner_ring_mm"] == rings[0]
    assert np.isnan(right[f"{sector}outer_nasal"]) == (len(rings) == 1)
    for name in right:
        # Medians and the tracing of the graph may differ by a pixel in a mirrored image.
        if name.startswith((sector, "fd300", "vessel_density", "etdrs")):
            np.testing.assert_allclose(left[name], right[name], rtol=1e-9, err_msg=name)
    assert unknown[f"{sector}inner_right"] == pytest.approx(right[f"{sector}inner_nasal"])
    assert (unknown["etdrs_centred_on_faz"], right["etdrs_centred_on_faz"]) == (0, 1)
    assert f"{sector}inner_nasal" not in unknown


def test_sectors_follow_the_faz_and_drop_out_of_the_image():
    faz = ellipse(20, 20, centre=(100, 40))
    found = measure(np.ones((SIDE, SIDE), bool), faz, um_per_px=15.0, laterality="OD")
    assert found["vessel_density_etdrs_inner_nasal"] == 1
    assert np.isnan(found["vessel_density_etdrs_inner_temporal"])


def test_the_largest_region_is_measured_with_its_holes_filled():
    large, small = ellipse(25, 25, centre=(130, 120)), ellipse(9, 9, centre=(30, 40))
    found = measure(None, (large & ~ellipse(8, 8, centre=(128, 118))) | small, um_per_px=UM)
    assert found["faz_components"] == 2
    alone = measure(None, large, um_per_px=UM)
    for name, value in alone.items():
        if name.startswith("faz_") and name != "faz_components":
            assert found[name] == value, name
    assert alone["faz_area_mm2"] == pytest.approx(large.sum() * MM**2)


def test_the_shorter_side_chooses_the_rings():
    found = measure(np.ones((300, 400), bool), None, um_per_px=15.0)  # 4.5 x 6 mm
    assert found["etdrs_inner_ring_mm"] == 2.5 and np.isnan(found["etdrs_outer_ring_mm"])


def test_density_around_the_faz():
    radius = np.hypot(Y - 100, X - 100)
    vessels = (radius > 40) & (radius <= 55)  # the inner half of the ring of 30 pixels
    found = measure(vessels, radius <= 40, um_per_px=UM)
    assert found["fd300"] == pytest.approx((55**2 - 40**2) / (70**2 - 40**2), rel=0.03)
    assert np.isnan(measure(vessels, None, um_per_px=UM)["fd300"])


@pytest.mark.parametrize("laterality", ["OD", "OS"])
def test_the_density_of_every_sector(laterality):
    """Each sector is filled to its own share; here angles, not diagonals, define the sectors."""
    side, um, centre = 400, 15.0, (196, 207)
    y, x = np.mgrid[:side, :side] + 0.5 - np.reshape(centre, (2, 1, 1))
    radius, angle = np.hypot(y, x) * um / 1000, np.rad2deg(np.arctan2(-y, x)) % 360
    right, left = ("nasal", "temporal") if laterality == "OD" else ("temporal", "nasal")
    around = {"superior": 90, left: 180, "inferior": 270, right: 0}
    sectors = {"centre": radius < 0.5}
    for ring, near, far in (("inner", 0.5, 1.5), ("outer", 1.5, 3)):
        for name, middle in around.items():
            off = np.abs((angle - middle + 180) % 360 - 180)
            sectors[f"{ring}_{name}"] = (radius >= near) & (radius < far) & (off < 45)
    rv = np.zeros((side, side), bool)
    for tenths, sector in enumerate(sectors.values(), start=1):
        rv[sector] = np.linspace(0, 10, np.count_nonzero(sector)) < tenths
    found = measure(rv, radius < 0.3, um_per_px=um, laterality=laterality)
    for tenths, name in enumerate(sectors, start=1):
        assert found[f"vessel_density_etdrs_{name}"] == pytest.approx(tenths / 10, abs=0.006), name


def test_density_around_a_faz_at_the_edge():
    """Only the part of the ring inside the image counts."""
    radius = np.hypot(Y - 100, X - 12)
    faz, vessels = radius <= 20, (X < 30) & (radius > 20)
    ring = (radius > 20) & (radius <= 50)
    inside = vessels[ring].mean()
    assert 0.3 < inside < 0.7
    # The density over the whole ring, beyond the edge too, would be lower.
    assert inside - (vessels & ring).sum() / (np.pi * (50**2 - 20**2)) > 0.1
    assert measure(vessels, faz, um_per_px=UM)["fd300"] == pytest.approx(inside, rel=0.03)


@pytest.mark.parametrize(("pixels", "last"), [(30.3, 129), (30.7, 130)])
def test_the_ring_starts_at_the_border_of_the_faz(pixels, last):
    """Of a FAZ left of column 100; a pixel's centre in column 100 is half a pixel away."""
    faz = X < 100
    ring = (X > 100) & (X < last + 1)
    vessels = X > last  # the last column of the ring alone, and beyond
    found = measure(vessels, faz, um_per_px=300 / pixels)["fd300"]
    assert found == pytest.approx((vessels & ring).sum() / ring.sum(), rel=1e-9)
