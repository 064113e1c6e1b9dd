"""Position embeddings of another grid, as NumPy arrays."""

import jax
import jax.numpy as jnp
import numpy as np

from s2a_jax.models.vit import resize_positions


def positions_on(array: np.ndarray, grid: tuple[int, int], new_grid: tuple[int, int]) -> np.ndarray:
    """Resizes position embeddings bilinearly.  [1, h * w, D] -> [1, h' * w', D].

    Args:
        array: the embeddings, row by row.
        grid: their (h, w).
        new_grid: the (h', w') to resize them to.
    """
    # On the CPU and outside the mesh: this runs once, before there is a state.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return np.asarray(resize_positions(jnp.asarray(array), grid, new_grid))
