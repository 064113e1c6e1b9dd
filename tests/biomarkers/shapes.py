"""Shapes with known numbers, on images of 200x200 pixels of 10 um."""

import numpy as np

SIDE = 200
Y, X = np.mgrid[:SIDE, :SIDE] + 0.5  # centres of the pixels, from the upper left corner
UM = 10.0
MM = UM / 1000


def turned(angle, centre):
    """Coordinates along and across a direction, pixels."""
    y, x = Y - centre[0], X - centre[1]
    return np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y


def ellipse(a, b, angle=0.0, centre=(100, 100)):
    along, across = turned(angle, centre)
    return (along / a) ** 2 + (across / b) ** 2 <= 1


def line(width, angle, centre, half_length=np.inf):
    along, across = turned(angle, centre)
    return (np.abs(across) <= width / 2) & (np.abs(along) <= half_length)


def length_in_image(angle, centre):
    steps = np.linspace(-300, 300, 60001)
    y, x = centre[0] + np.cos(angle) * steps, centre[1] + np.sin(angle) * steps
    return 600 * np.mean((y >= 0) & (y < SIDE) & (x >= 0) & (x < SIDE))
