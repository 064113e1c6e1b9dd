"""Compare the package with golden arrays that the original PyTorch code computed.

    python -m parity.golden s2anet.npz unet.npz ... [--double]

Prints the largest difference and the tolerance of each array; the exit code is 1 if any lies
outside. Runs without PyTorch.

A golden file is named after its network. It holds `state/<name>` (a state dict under PyTorch's
names), `input` or `input_0..2` (NCHW), and the original's results: `eval/*` (inference), `train/*`
(training mode), `stats/*` (running statistics after that); for S2A-Net also `target_*`,
`train/losses`, `grad/*`, and `trajectory/*` (eight updates of Adam).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from s2a_jax.convert import from_torch, to_torch
from s2a_jax.convert.files import read_npz
from s2a_jax.objectives.joint import Objective
from s2a_jax.signals import leave, run_program


class Row(NamedTuple):
    """Comparison of one golden array with ours.

    Attributes:
        name: network and array.
        difference: the largest absolute difference, or that relative to the largest golden value.
        tolerance: the largest difference allowed.
    """

    name: str
    difference: float
    tolerance: float


def compare(network: str, golden: dict[str, np.ndarray], dtype: Any) -> Iterator[Row]:
    """Compare each golden array of a network with ours, computed in `dtype`."""

    def row(name: str, ours: Any, single_tolerance: float, relative: bool = False) -> Row:
        theirs = golden[name].astype(np.float64)
        difference = np.max(np.abs(np.asarray(ours, np.float64) - theirs))
        if relative:
            difference /= np.max(np.abs(theirs))
        tolerance = 1e-6 if dtype == jnp.float64 else single_tolerance
        return Row(f"{network} {name}", float(difference), tolerance)

    hybrid = network in ("s2anet", "transunet")
    known = {"num_heads": 4, "dropout_rate": 0.0} if hybrid else {}
    state = {k.removeprefix("state/"): v for k, v in golden.items() if k.startswith("state/")}
    module, variables = from_torch(network, state, dtype=dtype, **known)
    variables = jax.tree.map(lambda a: jnp.asarray(a, dtype), variables)
    image = jnp.asarray(_image(golden), dtype)

    @jax.jit
    def infer(variables, image):
        return module.apply(
            variables, image, train=False, mutable=["intermediates"], capture_intermediates=True
        )

    outputs, extra = infer(variables, image)
    for name, ours in _outputs(golden, "eval/", outputs):
        yield row(name, ours, 1e-4 if name.endswith(("logits", "grid")) else 2e-5)
    if network == "s2anet":
        seen = extra["intermediates"]["encoder"]
        for name in sorted(k for k in golden if k.startswith("eval/encoder_")):
            yield row(name, seen["transformer"][f"tokens_{name.rpartition('_')[2]}"][0], 2e-5)
        (features,) = seen["__call__"]
        for i, skip in enumerate(features["skips"]):
            yield row(f"eval/skip_{i}", _nchw(skip), 2e-5)

    def train(params, batch_stats):
        return module.apply(
            {"params": params, "batch_stats": batch_stats},
            image,
            train=True,
            mutable=["batch_stats"],
        )

    outputs, updated = jax.jit(train)(variables["params"], variables["batch_stats"])
    for name, ours in _outputs(golden, "train/", outputs):
        yield row(name, ours, 1e-4 if name.endswith(("logits", "grid")) else 2e-5)
    named = to_torch(network, variables | updated)
    for name in (k for k in golden if k.startswith("stats/") and "num_batches" not in k):
        yield row(name, named[name.removeprefix("stats/")], 1e-5, relative=True)
    if "train/losses" in golden:
        yield from _compare_training(network, golden, row, variables, train, dtype)


def _compare_training(network, golden, row, variables, train, dtype) -> Iterator[Row]:
    """Compare losses, gradients and the trajectory of Adam."""
    target = {t: jnp.asarray(_nhwc(golden[f"target_{t}"]), dtype) for t in ("rv", "faz")}
    present = {t: jnp.ones(len(target["rv"]), dtype) for t in ("rv", "faz")}
    objective = Objective(balance="dwb")

    def loss_fn(params, batch_stats, progress):
        logits, updated = train(params, batch_stats)
        loss, parts = objective(logits, target, present, progress)
        return loss, (parts, updated["batch_stats"])

    grad_fn = jax.jit(jax.grad(loss_fn, has_aux=True))
    epoch, total = golden["train/epoch_total"]
    grads, (parts, stats) = grad_fn(
        variables["params"], variables["batch_stats"], jnp.asarray(epoch / total, dtype)
    )
    yield row("train/losses", _losses(parts), 1e-6)
    named = to_torch(network, {"params": grads, "batch_stats": stats})
    for name in (k for k in golden if k.startswith("grad/")):
        yield row(name, named[name.removeprefix("grad/")], 1e-3, relative=True)

    rate, steps = golden["trajectory/lr_steps"]
    optimizer = optax.adam(lambda e: rate * (1 - e / steps) ** 0.9, eps=1e-8)
    params, stats = variables["params"], variables["batch_stats"]
    opt_state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    losses = []
    for i in range(int(steps)):
        grads, (parts, stats) = grad_fn(params, stats, jnp.asarray(i / steps, dtype))
        losses.append(_losses(parts))
        updates, opt_state = update(grads, opt_state)
        params = optax.apply_updates(params, updates)
    differences = np.abs(np.array(losses) - golden["trajectory/losses"]).max(axis=1)
    for i, difference in enumerate(differences):
        tolerance = 1e-6 if dtype == jnp.float64 else 5e-6 if i == 0 else 1e-3
        yield Row(f"{network} trajectory/{i}", float(difference), tolerance)


def _outputs(golden, mode: str, outputs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Golden outputs of one mode: the name, and our output in the same form and layout."""
    both = jnp.concatenate([outputs["rv"], outputs["faz"]], axis=-1)
    forms = {"logits": both, "prob": jax.nn.sigmoid(both)}
    forms |= {k: v if k == "junction_grid" else jax.nn.sigmoid(v) for k, v in outputs.items()}
    for name, ours in forms.items():
        if mode + name in golden:
            yield mode + name, _nchw(ours)


def _image(golden: dict[str, np.ndarray]) -> np.ndarray:
    if "input" in golden:
        return _nhwc(golden["input"])
    return np.stack([_nhwc(golden[f"input_{i}"]) for i in range(3)], axis=3)


def _losses(parts: dict[str, Any]) -> np.ndarray:
    return np.array([parts[k] for k in ("loss_rv", "loss_faz", "alpha", "loss")])


def _nhwc(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1)


def _nchw(array: Any) -> np.ndarray:
    return np.asarray(array).transpose(0, 3, 1, 2)


def main() -> int:
    """Compare all files, and print a table.

    Returns:
        The exit code: 1 if any array lies outside its tolerance.

    Raises:
        UserError: a file cannot be read, or is not named after a network.
    """
    parser = argparse.ArgumentParser(
        prog="python -m parity.golden",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--double", action="store_true", help="compute in float64")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", options.double)
    dtype = jnp.float64 if options.double else jnp.float32
    rows = []
    for path in options.files:
        rows += compare(path.stem, read_npz(path), dtype)
    outside = [row for row in rows if not row.difference <= row.tolerance]
    for row in rows:
        mark = "  <-- outside" if row in outside else ""
        print(f"{row.name:85s} {row.difference:9.1e} <= {row.tolerance:.0e}{mark}")
    print(f"{len(rows)} arrays, {len(outside)} outside their tolerance")
    return 1 if outside else 0


if __name__ == "__main__":
    leave(run_program(main))
