"""Errors of this package's biomarkers and of the usual methods on shapes of known size.

    python -m benchmarks.biomarkers_alternatives

Prints the errors of perimeter, length and calibre of straight vessels in all directions, by the
methods in docs/biomarkers.md and by ours; perimeter and circularity of discs; and how many drawn
crossings have one branch point.
"""

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours, perimeter_crofton
from skimage.morphology import skeletonize

from benchmarks.command_line import parser
from s2a_jax.biomarkers.contours import outlines
from s2a_jax.biomarkers.measure import measure
from s2a_jax.biomarkers.skeleton import trace_skeleton
from s2a_jax.signals import leave, run_program

SIDE, HALF, WIDTH = 300, 100, 6  # image side, half a vessel's length, its width; pixels
Y, X = np.mgrid[:SIDE, :SIDE] - SIDE / 2
RNG = np.random.default_rng(0)


def main() -> None:
    """Print all tables."""
    parser("benchmarks.biomarkers_alternatives", __doc__).parse_args()
    angles = np.linspace(0, np.pi / 2, 61)
    rods = [rod(angle, WIDTH, HALF) for angle in angles]
    perimeter = 2 * (2 * HALF + WIDTH)
    for name, length in (
        ("perimeter, polygon along pixels", polygon),
        ("perimeter, Crofton, 4 directions", lambda mask: perimeter_crofton(mask, directions=4)),
        ("perimeter, ours", lambda mask: outlines(mask).segments()[1].sum()),
    ):
        errors = np.array([100 * (length(mask) / perimeter - 1) for mask in rods])
        print_errors(name, errors, angles, "%")
    steps, ours = zip(*map(lengths, angles), strict=True)
    print_errors("length, steps of 1 and sqrt(2)", np.array(steps), angles, "%")
    print_errors("length, ours", np.array(ours), angles, "%")
    usual, ours = zip(*(calibres(angle, width) for angle in angles for width in (2, 3, 4, 5, 6)),
                      strict=True)  # fmt: skip
    print_errors("calibre, distance transform", np.array(usual), None, "px")
    print_errors("calibre, ours", np.array(ours), None, "px")
    print_discs()
    print_crossings()


def rod(angle: float, width: float, half: float, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Draw a straight vessel, bool [300, 300]; `angle` 0 is vertical."""
    y, x = Y - shift[0], X - shift[1]
    along, across = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    return (np.abs(along) <= half) & (np.abs(across) <= width / 2)


def polygon(mask: np.ndarray) -> float:
    """Length in pixels of the outline from marching squares, not smoothed."""
    return sum(np.hypot(*np.diff(one, axis=0).T).sum() for one in find_contours(mask, 0.5))


def lengths(angle: float) -> tuple[float, float]:
    """Errors in % of a centreline's length: by pixel steps, and smoothed as ours."""
    smooth = trace_skeleton(rod(angle, WIDTH, HALF), 0).branches
    assert len(smooth.starts) == 1
    pixels = np.argwhere(skeletonize(rod(angle, WIDTH, HALF), method="lee"))
    along = np.cos(angle) * pixels[:, 0] + np.sin(angle) * pixels[:, 1]
    pixels = pixels[np.argsort(along)]
    true = np.hypot(*(pixels[-1] - pixels[0]))
    steps = np.hypot(*np.diff(pixels, axis=0).T).sum()
    ours = smooth.lengths()[0] / np.hypot(*(smooth.points[-1] - smooth.points[0]))
    return 100 * (steps / true - 1), 100 * (ours - 1)


def calibres(angle: float, width: float) -> tuple[float, float]:
    """Errors in pixels of the mean calibre: twice the distance transform, and ours."""
    mask = rod(angle, width, np.inf, tuple(RNG.uniform(-0.5, 0.5, 2)))
    inside = np.s_[20:-20, 20:-20]
    thin = skeletonize(mask, method="lee")[inside]
    usual = 2 * ndimage.distance_transform_edt(mask)[inside][thin].mean()
    return usual - width, measure(mask, None, um_per_px=1.0)["mean_calibre_um"] - width


def print_errors(name: str, errors: np.ndarray, angles: np.ndarray | None, unit: str) -> None:
    """Print mean and range; with `angles` also the errors at 0, 22.5 and 45 degrees."""
    line = f"{name:34s} mean {errors.mean():+5.2f}, {errors.min():+5.2f} to {errors.max():+5.2f}"
    if angles is not None:
        at = (f"{errors[np.abs(angles - np.deg2rad(d)).argmin()]:+.2f}" for d in (0, 22.5, 45))
        line += f" {unit}; at 0, 22.5 and 45 degrees {', '.join(at)}"
    print(f"{line} {unit}")


def print_discs() -> None:
    """Print our perimeter and circularity of discs, means over ten positions on the grid."""
    for radius in (5, 6, 12, 20, 40):
        centres = RNG.uniform(-0.5, 0.5, (10, 2))
        masks = [np.hypot(Y - y, X - x) <= radius for y, x in centres]
        found = [measure(None, mask, um_per_px=1000.0) for mask in masks]
        perimeter, circularity = (
            np.mean([one[name] for one in found])
            for name in ("faz_perimeter_mm", "faz_circularity")
        )
        error = 100 * (perimeter / (2 * np.pi * radius) - 1)
        print(f"disc of radius {radius}: perimeter {error:+.2f} %, circularity {circularity:.3f}")


def print_crossings() -> None:
    """Print how many crossings of two vessels have one branch point, by their angle."""
    for between in (40, 50, 60, 75, 90):
        ones = total = 0
        for width in (3, 4, 5, 6, 7, 8):
            for angle in np.linspace(0, np.pi, 10, endpoint=False):
                shift = tuple(RNG.uniform(-0.5, 0.5, 2))
                mask = rod(angle, width, HALF, shift)
                mask |= rod(angle + np.deg2rad(between), width, HALF, shift)
                ones += trace_skeleton(mask, 0).branch_points == 1
                total += 1
        print(f"crossings at {between} degrees: {ones} of {total} are one branch point")


if __name__ == "__main__":
    leave(run_program(main))
