"""Named stages of both sides: their outputs on one image, from the root to the logits."""

import copy
import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import torch

from parity.sides import Sides, inputs

_CALL = "__call__"
_OUT = "outputs/"
_HYBRID = "transformer.embeddings.hybrid_model."


class Stage(NamedTuple):
    """One intermediate output to compare.

    Attributes:
        label: the display name.
        flax: the path below `intermediates`.
        torch: the name of the PyTorch submodule with the same output.
    """

    label: str
    flax: str
    torch: str


class Difference(NamedTuple):
    """Difference between both sides at one stage.

    Attributes:
        label: the display name of the stage.
        largest: the largest absolute difference.
        mean: the mean absolute difference.
        scale: the largest absolute value on PyTorch's side.
        torch_rounding: the largest difference of PyTorch from PyTorch in float64; NaN without
            `rounding`.
        jax_rounding: the largest difference of JAX from PyTorch in float64; NaN likewise.
    """

    label: str
    largest: float
    mean: float
    scale: float
    torch_rounding: float
    jax_rounding: float


def compare(
    sides: Sides, image: np.ndarray, *, rounding: bool = False
) -> tuple[list[Difference], dict[str, np.ndarray]]:
    """Compare both sides in inference mode on one image.

    Args:
        sides: both networks.
        image: float32 [H, W] in [0, 1].
        rounding: also run PyTorch in float64.

    Returns:
        differences: of all stages; the logits come last.
        probability: `torch_rv`, `torch_faz`, `jax_rv`, `jax_faz`, each [H, W].
    """
    stages = _stages(sides)
    names = [stage.torch for stage in stages]
    theirs = _run_torch(sides.network, sides.torch, image, names)
    ours = _run_jax(sides, image, {stage.flax for stage in stages})
    exact = theirs
    if rounding:
        double = copy.deepcopy(sides.torch).double()
        exact = _run_torch(sides.network, double, image.astype(np.float64), names)
    pairs = [(stage.label, stage.flax, stage.torch) for stage in stages]
    pairs += [(f"{k.removeprefix(_OUT)} logits", k, k) for k in ours if k.startswith(_OUT)]
    differences = []
    for label, flax, torch_name in pairs:
        difference = _difference(label, ours[flax], theirs[torch_name])
        if rounding:
            difference = difference._replace(
                torch_rounding=_largest(theirs[torch_name], exact[torch_name]),
                jax_rounding=_difference(label, ours[flax], exact[torch_name]).largest,
            )
        differences.append(difference)
    probability = {}
    for task in ("rv", "faz"):
        probability[f"jax_{task}"] = _sigmoid(ours[_OUT + task][0][0, :, :, 0])
        probability[f"torch_{task}"] = _sigmoid(theirs[_OUT + task][0][0, 0])
    return differences, probability


def _run_torch(
    network: str, module: torch.nn.Module, image: np.ndarray, names: list[str]
) -> dict[str, list[np.ndarray]]:
    """Outputs of the named submodules, one per call, and those of the network under `_OUT`."""
    seen: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def hook(name: str) -> Any:
        def keep(module: torch.nn.Module, inputs: Any, output: Any) -> None:
            seen[name].append((output[0] if isinstance(output, tuple) else output).numpy())

        return keep

    handles = [module.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    try:
        with torch.inference_mode():
            outputs = module.eval()(*inputs(network, torch.from_numpy(image[None])))
    finally:
        for handle in handles:
            handle.remove()
    return seen | {_OUT + name: [output.numpy()] for name, output in outputs.items()}


def _run_jax(sides: Sides, image: np.ndarray, wanted: set[str]) -> dict[str, list[np.ndarray]]:
    """The wanted intermediates, one per call, and the outputs of the network under `_OUT`."""
    x = image[None, :, :, None]
    seen = jax.device_get(_apply(sides.variables, x, sides.module, frozenset(wanted)))
    return {path: list(values) for path, values in seen.items()}


@functools.partial(jax.jit, static_argnames=("module", "wanted"))
def _apply(variables: Any, x: Any, module: nn.Module, wanted: frozenset[str]) -> Any:
    modules = {path.removesuffix(f"/{_CALL}") for path in wanted}

    def is_wanted(submodule: nn.Module, method: str) -> bool:
        return method == _CALL and "/".join(submodule.path) in modules

    outputs, kept = module.apply(
        variables, x, train=False, mutable=["intermediates"], capture_intermediates=is_wanted
    )
    leaves = {path: _at(kept["intermediates"], path) for path in wanted}
    return leaves | {_OUT + name: (output,) for name, output in outputs.items()}


def _at(tree: Any, path: str) -> Any:
    for part in path.split("/"):
        tree = tree[part]
    return tree


def _difference(label: str, ours: list[np.ndarray], theirs: list[np.ndarray]) -> Difference:
    """Difference of our maps in NHWC from theirs in NCHW; tokens have one layout."""
    theirs = [array.transpose(0, 2, 3, 1) if array.ndim == 4 else array for array in theirs]
    means = [np.abs(a.astype(np.float64) - b).mean() for a, b in zip(ours, theirs, strict=True)]
    return Difference(
        label,
        _largest(ours, theirs),
        float(np.mean(means)),
        max(float(np.abs(array).max()) for array in theirs),
        math.nan,
        math.nan,
    )


def _largest(some: list[np.ndarray], others: list[np.ndarray]) -> float:
    pairs = zip(some, others, strict=True)
    return max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in pairs)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def _stages(sides: Sides) -> list[Stage]:
    """Stages of a network, from the input to the last map before the logits."""
    return list(_STAGES[sides.network](sides.module))


def _encoder(module: nn.Module, blocks: int) -> Iterator[Stage]:
    yield Stage("root", "encoder/resnet/root", _HYBRID + "root")
    for i in (1, 2, 3):
        yield Stage(f"encoder stage {i}", f"encoder/resnet/block{i}", f"{_HYBRID}body.block{i}")
    for i in range(blocks):
        path = f"encoder/transformer/block_{i}/{_CALL}"
        yield Stage(f"token layer {i}", path, f"transformer.encoder.layer.{i}")


def _s2anet(module: nn.Module) -> Iterator[Stage]:
    yield from _encoder(module, max(*module.lcem_layers, *module.gcem_layers) + 1)
    for i in module.lcem_layers:
        path = f"heads/lcem/decoder_{i}/output"
        yield Stage(f"LCEM decoder {i}", path, f"Multioutput_{i}.decoder")
    for i in module.gcem_layers:
        path = f"heads/gcem/decoder_{i}/output"
        yield Stage(f"GCEM decoder {i}", path, f"Multioutput_{i}_faz.decoder")


def _transunet(module: nn.Module) -> Iterator[Stage]:
    yield from _encoder(module, module.num_blocks)
    yield Stage("decoder", "decoder/output", "decoder")


def _unet(module: nn.Module) -> Iterator[Stage]:
    for i in range(1, 6):
        yield Stage(f"encoder level {i}", f"encoder/level{i}/{_CALL}", f"Conv{i}")
    for i in (4, 3, 2, 1):
        yield Stage(f"decoder level {i}", f"decoder/level{i}/{_CALL}", f"Up_conv{i + 1}")


def _jointseg(module: nn.Module) -> Iterator[Stage]:
    for i in range(1, 6):
        yield Stage(f"encoder level {i}", f"level{i}/{_CALL}", f"conv{i}")
    for i in (4, 3, 2, 1):
        yield Stage(f"FAZ alignment {i}", f"faz{i}_fam/{_CALL}", f"faz_fam{10 - i}")
        yield Stage(f"FAZ decoder level {i}", f"faz{i}_conv/{_CALL}", f"faz_conv{10 - i}")
    yield Stage("RV fusion", f"rv4_msf/{_CALL}", "rv_attention")
    for i in (3, 2, 1):
        yield Stage(f"RV decoder level {i}", f"rv{i}_conv/{_CALL}", f"rv_conv{10 - i}")


def _vaffnet(module: nn.Module) -> Iterator[Stage]:
    yield Stage("first batch norm", f"first_bn/{_CALL}", "firstbn_1")
    for i, units in enumerate(module.units, start=1):
        path = f"pyramid/stage{i}_unit{units - 1}/{_CALL}"
        yield Stage(f"encoder stage {i}", path, f"encoder{i}")
    yield Stage("pyramid top", f"pyramid/top/{_CALL}", "toplayer")
    for task, name in (("faz", "FAZ"), ("rv", "vessel")):
        yield Stage(f"{task} gate", f"gate_{task}/vote/{_CALL}", f"gate_conv_{name}.9")


_STAGES = {
    "s2anet": _s2anet,
    "unet": _unet,
    "transunet": _transunet,
    "jointseg": _jointseg,
    "vaffnet": _vaffnet,
}
"""Network -> its stages, given the Linen module."""
