"""A network whose answer is known: vessels where the image is bright, FAZ where it is black."""

import threading

import numpy as np

from s2a_jax.analysis.model import S2ANet
from s2a_jax.inference.pieces import Computed
from s2a_jax.inference.scale import scale_for

SIDE = 96


class KnownNetwork(S2ANet):
    """`compute` without a network; counts calls that overlap."""

    def __init__(self, wait=lambda: None):
        self.slabs, self.tasks, self.pitches_um = (), ("rv", "faz"), None
        self.wait, self.lock, self.overlaps = wait, threading.Lock(), 0

    def compute(self, image, *, um_per_px=None, tta=False):
        if not self.lock.acquire(blocking=False):
            self.overlaps += 1
            self.lock.acquire()
        try:
            self.wait()
            scale = scale_for(image.shape, um_per_px, None)
            maps = {"rv": np.where(image > 0.8, 0.95, 0.02), "faz": np.where(image < 0.05, 0.9, 0)}
            maps = {task: p.astype(np.float32) for task, p in maps.items()}
            spread = {task: np.zeros_like(p) for task, p in maps.items()} if tta else None
            return Computed(maps, maps, scale.network_um_per_px, spread, scale)
        finally:
            self.lock.release()


def eye_pixels(faz_side, side=SIDE):
    """Speckle with two white vessels and a black square in the middle, uint8."""
    pixels = np.random.default_rng(faz_side).integers(60, 150, (side, side), dtype=np.uint8)
    pixels[:, 10:14] = pixels[80:83] = 255
    start = (side - faz_side) // 2
    pixels[start : start + faz_side, start : start + faz_side] = 0
    return pixels
