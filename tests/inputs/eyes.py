"""Drawn eyes for tests: bright vessels without symmetry, and a dark FAZ away from the centre."""

import numpy as np


def draw_eye(seed, side=96, place=(0.35, 0.55), dark=40):
    """An eye with noise.

    Args:
        seed: of vessels and noise.
        side: pixels.
        place: centre of the FAZ as shares of the side.
        dark: grey value of the FAZ; 90 around it.

    Returns:
        image (uint8), rv and faz (bool), each [side, side].
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    rv = np.zeros((side, side), bool)
    for _ in range(6):
        angle, place_of_line = rng.uniform(0, np.pi), rng.uniform(-0.3, 0.3)
        bend = 0.1 * np.sin(7 * (x + y) + rng.uniform(0, 6))
        across = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + bend - place_of_line
        rv |= np.abs(across) < 0.012
    faz = np.hypot(y - place[0], x - place[1]) < 0.1
    rv &= ~faz
    image = np.where(rv, 190, np.where(faz, dark, 90)) + rng.normal(0, 20, (side, side))
    return np.clip(image, 0, 255).astype(np.uint8), rv, faz
