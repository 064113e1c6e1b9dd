"""Does an exported network compute what the original computes?"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from s2a_jax.convert.weights import Description
from s2a_jax.errors import UserError
from s2a_jax.inference.runtimes import Compute
from s2a_jax.models.build import build_network
from s2a_jax.training.step import predict_step

TOLERANCE = 1e-4
"""Greatest difference of a probability that is rounding, on a CPU in float32."""

ODDS_TOLERANCE = 0.02
"""Greatest difference of its log odds, which shows also in probabilities near 0 and 1."""

SHAPES = ((1, 112, 112), (2, 64, 96), (3, 80, 48))
"""Images, height and width of the batches on which both are compared."""


def check_exported(
    compute: Compute, description: Description, variables: Mapping[str, Any], path: Path
) -> float:
    """Compares an exported network with the original, on the CPU.

    Args:
        compute: the exported network.
        description: of the original.
        variables: of the original.
        path: the file, as messages call it.

    Returns:
        The greatest difference of a probability.

    Raises:
        UserError: a difference is greater than `TOLERANCE`.
    """
    module = build_network(description.network, description.fields)
    predict = jax.jit(functools.partial(predict_step, module=module))
    greatest = 0.0
    with jax.default_device(_cpu()):
        for shape in SHAPES:
            pixels = _pictures(shape, len(module.slabs))
            expected = jax.device_get(predict(variables, pixels))
            found = compute(pixels)
            for task in description.tasks:
                pair = found[task], expected[task]
                difference = _greatest_difference(*pair)
                of_odds = _greatest_difference(*map(_log_odds, pair))
                if not (difference <= TOLERANCE and of_odds <= ODDS_TOLERANCE):  # NaN, either
                    raise UserError(
                        f"{path} is not written: for images of {shape[2]}x{shape[1]} pixels its "
                        f"{task} probabilities differ from the original's by {difference:.2g} and "
                        f"their log odds by {of_odds:.2g}, expected at most {TOLERANCE:g} and "
                        f"{ODDS_TOLERANCE:g}. Please report this network."
                    )
                greatest = max(greatest, difference)
    return greatest


def _greatest_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def _log_odds(probability: np.ndarray) -> np.ndarray:
    """Within ±11.5, beyond which float32 cannot tell probabilities from 1."""
    clipped = np.clip(probability.astype(np.float64), 1e-5, 1 - 1e-5)
    return np.log(clipped / (1 - clipped))


def _pictures(shape: tuple[int, int, int], slabs: int) -> np.ndarray:
    """Noise of every contrast: each picture brightens from left to right.

    Returns:
        float32 in [0, 1]: [B, H, W] for one slab, [B, H, W, C] for C slabs.
    """
    noise = np.random.default_rng(0).random((*shape, slabs) if slabs else shape, np.float32)
    ramp = np.linspace(0, 1, shape[2], dtype=np.float32)
    return noise * (ramp[:, None] if slabs else ramp)


def _cpu() -> jax.Device:
    """The CPU, where products of float32 are not rounded to fewer bits."""
    try:
        return jax.devices("cpu")[0]
    except RuntimeError as error:
        raise UserError(
            "An exported network is checked on the CPU, which JAX_PLATFORMS excludes: unset it, or "
            "add cpu to it."
        ) from error
