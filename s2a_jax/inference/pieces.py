"""One image as the inputs of a network, and the network's outputs as one result.

An image that is resampled, large or averaged over symmetries becomes several padded inputs, which
are computed in any batches and any order; the result does not depend on either.
"""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from s2a_jax.errors import UserError
from s2a_jax.inference.scale import Scale
from s2a_jax.inference.symmetries import IDENTITY, SYMMETRIES, Symmetry
from s2a_jax.inference.tiles import Tile, tiles_of
from s2a_jax.inputs.images import resize_image
from s2a_jax.inputs.slabs import resize_slabs

_SMALLEST_SIDE = 32  # pixels; smaller images give a single token

Maps = dict[str, np.ndarray]
"""Task -> float32 [H, W] in [0, 1]."""


class Computed(NamedTuple):
    """The result of one image.

    Attributes:
        probability: of the tasks that the network was trained on, at the image's own size.
        at_network: the same at the size at which the network saw the image, for measuring.
        um_per_px: pitch of `at_network`'s square pixels, um; None if the image's is unknown.
        spread: standard deviation of the probability over the symmetries, at the image's own size;
            None without them.
        scale: the sizes and pitches of the image.
    """

    probability: Maps
    at_network: Maps
    um_per_px: float | None
    spread: Maps | None
    scale: Scale


@dataclass(frozen=True, eq=False)
class Piece:
    """One input of a network: a tile of an image in one symmetry.

    Attributes:
        image: float32 [H, W] or [H, W, C] in [0, 1], the whole image at the network's scale.
        tile: the part of it.
        symmetry: the view of that part.
    """

    image: np.ndarray
    tile: Tile
    symmetry: Symmetry

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `pixels()`."""
        height, width, *channels = self._view(self.image).shape
        return (_padded_side(height), _padded_side(width), *channels)

    def pixels(self) -> np.ndarray:
        """The input, padded by reflection to multiples of 16 below and at the right."""
        view = self._view(self.image)
        beside = [(0, padded - n) for n, padded in zip(view.shape[:2], self.shape, strict=False)]
        return np.pad(view, beside + [(0, 0)] * (view.ndim - 2), mode="symmetric")

    def restored(self, output: np.ndarray) -> np.ndarray:
        """The network's output [H', W'] as the tile lies: [h, w], without the padding."""
        height, width = self._view(self.image).shape[:2]
        return self.symmetry.undo(output[:height, :width])

    def _view(self, image: np.ndarray) -> np.ndarray:
        return self.symmetry.apply(image[self.tile.rows, self.tile.columns])


class Prepared:
    """An image on its way through a network.

    Args:
        image: float32 [H, W] or [H, W, C] in [0, 1], at its own size.
        scale: the sizes and pitches.
        tasks: the outputs that the network was trained to give.
        tta: whether to average over the eight symmetries.
        network: name of the network, for messages.

    Attributes:
        scale: as given.
        pieces: the inputs.
    """

    def __init__(
        self, image: np.ndarray, scale: Scale, tasks: Sequence[str], tta: bool, network: str
    ):
        if scale.is_resampled:
            image = resize_slabs(image, scale.network_size)
        self.scale = scale
        self._tasks, self._network = tasks, network
        self._symmetries = SYMMETRIES if tta else (IDENTITY,)
        self._tiles = tiles_of(*scale.network_size)
        self.pieces = [
            Piece(image, tile, symmetry)
            for tile, symmetry in itertools.product(self._tiles, self._symmetries)
        ]
        self._lock = threading.Lock()
        self._waiting: dict[int, Maps] = {}
        self._blended = 0  # tiles
        self._mean: Maps = {}
        self._spread: Maps = {}

    def add(self, index: int, output: Maps) -> bool:
        """Adds the output of `pieces[index]`; threads may call this.

        Args:
            index: which piece.
            output: task -> [H', W'], of the piece's padded input.

        Returns:
            Whether this was the last one, so that `result` may be called.

        Raises:
            UserError: the weights are damaged.
        """
        output = {task: output[task] for task in self._tasks}
        if not all(np.isfinite(p).all() for p in output.values()):
            raise UserError(
                f"The network {self._network} returns values that are not numbers (NaN), so its "
                "weights are damaged; pass others."
            )
        piece, views = self.pieces[index], len(self._symmetries)
        with self._lock:
            self._waiting[index] = {task: piece.restored(p) for task, p in output.items()}
            # In the order of the tiles, since the order of a sum decides its last bits.
            while all(self._blended * views + view in self._waiting for view in range(views)):
                parts = [self._waiting.pop(self._blended * views + view) for view in range(views)]
                self._blend(self._tiles[self._blended], parts)
                self._blended += 1
                if self._blended == len(self._tiles):
                    return True
        return False

    def _blend(self, tile: Tile, parts: list[Maps]) -> None:
        """Adds the outputs of one tile in all symmetries."""
        weight = tile.weight_down[:, None] * tile.weight_across
        for task in self._tasks:
            views = np.stack([part[task] for part in parts])  # [views, h, w]
            reduced = [(self._mean, views.mean(axis=0) if len(views) > 1 else views[0])]
            if len(views) > 1:
                reduced.append((self._spread, views.std(axis=0)))
            for total, part in reduced:
                if len(self._tiles) == 1:
                    total[task] = part
                    continue
                if task not in total:
                    total[task] = np.zeros(self.scale.network_size, np.float32)
                total[task][tile.rows, tile.columns] += weight * part

    def result(self) -> Computed:
        """The result, once all pieces were added."""
        mean = {task: np.clip(p, 0, 1) for task, p in self._mean.items()}  # rounding of sums
        own, spread = mean, self._spread
        if self.scale.is_resampled:
            own, spread = (
                {task: resize_image(p, self.scale.size) for task, p in maps.items()}
                for maps in (mean, spread)
            )
        return Computed(own, mean, self.scale.network_um_per_px, spread or None, self.scale)


def _padded_side(side: int) -> int:
    return max(_SMALLEST_SIDE, -(-side // 16) * 16)
