"""Time to measure masks that are no vessels: checkerboards, noise, stripes, full masks.

    python -m benchmarks.biomarkers_degenerate [--size 1024]

Prints CPU seconds of `measure` for each mask as vessels and as FAZ.
"""

import time

import numpy as np
from scipy import ndimage

from benchmarks.command_line import parser, positive
from s2a_jax.biomarkers.measure import measure
from s2a_jax.signals import leave, run_program


def main() -> None:
    """Print the table."""
    flags = parser("benchmarks.biomarkers_degenerate", __doc__)
    flags.add_argument("--size", type=positive, default=1024, help="side in pixels; default 1024")
    options = flags.parse_args()
    masks = degenerate_masks(options.size, options.size)
    measure(masks["disc"], None, um_per_px=5.0)  # loads what the first call loads
    print(f"{'':24s} {'vessels':>8s} {'FAZ':>8s}")
    for name, mask in masks.items():
        seconds = []
        for rv, faz in ((mask, None), (None, mask)):
            start = time.process_time()
            measure(rv, faz, um_per_px=5.0)
            seconds.append(time.process_time() - start)
        print(f"{name:24s} {seconds[0]:6.2f} s {seconds[1]:6.2f} s", flush=True)


def degenerate_masks(height: int, width: int) -> dict[str, np.ndarray]:
    """Draw one mask of each kind, bool [height, width]."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    pixel = (y == height // 2) & (x == width // 2)
    from_edge = np.minimum.reduce([y, x, height - 1 - y, width - 1 - x])
    noise = random.random((height, width))
    blurred = ndimage.gaussian_filter(random.standard_normal((height, width)), 2)
    disc = np.hypot(y - height / 2, x - width / 2) < 0.4 * min(height, width)
    return {
        "empty": pixel & ~pixel,
        "full": pixel | ~pixel,
        "one pixel": pixel,
        "all but one pixel": ~pixel,
        "all but a corner": (y > 0) | (x > 0),
        "two corners": ((y == 0) & (x == 0)) | ((y == height - 1) & (x == width - 1)),
        "one row": y == height // 2,
        "first column": x == 0,
        "last row": y == height - 1,
        "last two rows": y >= height - 2,
        "diagonal": y == x,
        "disc": disc,
        "disc with noise": disc & (noise < 0.7),
        "half": y < height / 2,
        "frame at the edge": from_edge == 0,
        "frame inside": from_edge == 5,
        "nested frames": from_edge % 4 < 2,
        "comb": (y % 2 == 0) | (x == 0),
        "dots": (y % 2 == 0) & (x % 2 == 0),
        "net": (y % 2 == 0) | (x % 2 == 0),
        "wide net": (y % 4 == 0) | (x % 4 == 0),
        "diagonal stripes": (y + x) % 4 < 2,
        **{f"stripes of {n} px": y // n % 2 == 0 for n in (1, 4)},
        **{f"checkerboard of {n} px": (y // n + x // n) % 2 == 0 for n in (1, 2, 3, 8)},
        **{f"noise, {n} %": noise < n / 100 for n in (1, 5, 20, 40, 50, 60, 80, 95)},
        "smooth noise": blurred > 0,
    }


if __name__ == "__main__":
    leave(run_program(main))
