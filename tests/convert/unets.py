"""U-Nets in PyTorch's names, and files with them."""

from collections import OrderedDict

import numpy as np
import torch
from references import reference, state_of

from s2a_jax.cli import run as main
from s2a_jax.convert.arrays import to_numpy


def unet_state(seed=0):
    """A U-Net's state dict in float32, without counters."""
    state = state_of(reference("unet", seed))
    return {name: torch.tensor(array).float() for name, array in state.items()}


def prefixed(prefix, state):
    """The state dict with a prefix before all keys."""
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def same(found, expected):
    """Whether two state dicts have the same keys and values."""
    return found.keys() == expected.keys() and all(
        np.array_equal(to_numpy(found[name]), expected[name].numpy()) for name in expected
    )


def saved(path, content, **options):
    """Write a file with `torch.save`; return its path."""
    torch.save(content, path, **options)
    return path


def convert(source, target, *flags):
    """Run the command for a U-Net; return its exit code."""
    files = ["--from", str(source), "--to", str(target)]
    return main(["convert", "--network", "unet", *files, *flags])
