"""Compares this package with golden arrays of the PyTorch original, in one table.

A golden file is an npz with `state/<name>` (a state dict under PyTorch's names), `input` and
`target_*` (NCHW), and what the original computed from them: `eval/*` (inference), `train/*` (batch
statistics), `stats/*` (running statistics after it), `grad/*`, and `trajectory/*` (eight Adam
updates).

    python tests/golden.py s2anet.npz [--double]

prints the table for such a file and fails if anything lies outside its tolerance.
"""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict

from s2a_jax.convert import from_torch, s2anet
from s2a_jax.objectives.joint import Objective


class Row(NamedTuple):
    name: str
    difference: float
    tolerance: float


def compare_s2anet(golden: dict[str, np.ndarray], dtype: Any, groups: int = 32) -> Iterator[Row]:
    """One row for each golden array: its difference from ours and what is allowed."""
    double = dtype == jnp.float64

    def row(name: str, ours: Any, theirs: Any, single_tolerance: float, relative: bool = False):
        difference = np.max(np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)))
        if relative:
            difference /= np.max(np.abs(theirs))
        return Row(name, float(difference), 1e-6 if double else single_tolerance)

    state = {k.removeprefix("state/"): v for k, v in golden.items() if k.startswith("state/")}
    module, variables = from_torch(
        "s2anet", state, num_heads=4, groups=groups, dropout_rate=0.0, dtype=dtype
    )
    variables = jax.tree.map(lambda a: jnp.asarray(a, dtype), variables)
    image = jnp.asarray(_nhwc(golden["input"]), dtype)

    def infer(variables, image):
        return module.apply(
            variables, image, train=False, mutable=["intermediates"], capture_intermediates=True
        )

    logits, extra = jax.jit(infer)(variables, image)
    for task in ("rv", "faz"):
        probability = jax.nn.sigmoid(logits[task])
        yield row(f"eval/{task}", probability, _nhwc(golden[f"eval/{task}"]), 2e-5)
    seen = extra["intermediates"]["encoder"]
    for name in sorted(k for k in golden if k.startswith("eval/encoder_")):
        tokens = seen["transformer"][f"tokens_{name.rpartition('_')[2]}"][0]
        yield row(name, tokens, golden[name], 2e-5)
    (features,) = seen["__call__"]
    for i, skip in enumerate(features["skips"]):
        yield row(f"eval/skip_{i}", skip, _nhwc(golden[f"eval/skip_{i}"]), 2e-5)

    target = {t: jnp.asarray(_nhwc(golden[f"target_{t}"]), dtype) for t in ("rv", "faz")}
    present = {t: jnp.ones(image.shape[0], dtype) for t in ("rv", "faz")}
    objective = Objective(balance="dwb")

    def loss_fn(params, batch_stats, progress):
        logits, updated = module.apply(
            {"params": params, "batch_stats": batch_stats},
            image,
            train=True,
            mutable=["batch_stats"],
        )
        loss, parts = objective(logits, target, present, progress)
        return loss, (parts, updated["batch_stats"], logits)

    grad_fn = jax.jit(jax.grad(loss_fn, has_aux=True))
    epoch, total = golden["train/epoch_total"]
    grads, (parts, stats, logits) = grad_fn(
        variables["params"], variables["batch_stats"], jnp.asarray(epoch / total, dtype)
    )
    for task in ("rv", "faz"):
        probability = jax.nn.sigmoid(logits[task])
        yield row(f"train/{task}", probability, _nhwc(golden[f"train/{task}"]), 2e-5)
    yield row("train/losses", _numbers(parts), golden["train/losses"], 1e-6)
    for name, ours in _torch_named(stats):
        if f"stats/{name}" in golden:
            yield row(f"stats/{name}", ours, golden[f"stats/{name}"], 1e-5, relative=True)
    for name, ours in _torch_named(grads):
        if f"grad/{name}" in golden:
            yield row(f"grad/{name}", ours, golden[f"grad/{name}"], 1e-3, relative=True)

    rate, steps = golden["trajectory/lr_steps"]
    optimizer = optax.adam(lambda e: rate * (1 - e / steps) ** 0.9, eps=1e-8)
    params, stats = variables["params"], variables["batch_stats"]
    opt_state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for i in range(int(steps)):
        grads, (parts, stats, _) = grad_fn(params, stats, jnp.asarray(i / steps, dtype))
        theirs = golden["trajectory/losses"][i]
        yield row(f"trajectory/{i}", _numbers(parts), theirs, 5e-6 if i == 0 else 1e-3)
        updates, opt_state = update(grads, opt_state)
        params = optax.apply_updates(params, updates)


def _numbers(parts: dict[str, Any]) -> np.ndarray:
    return np.array([parts[k] for k in ("loss_rv", "loss_faz", "alpha", "loss")])


def _nhwc(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1)


def _torch_named(tree: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Leaves of a tree of params or batch_stats, under PyTorch's names and layout."""
    leaves = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    for path, leaf in flatten_dict(tree, sep="/").items():
        prefix, _, name = path.rpartition("/")
        if name == "position_embedding":
            yield s2anet.torch_prefix(path), np.asarray(leaf)
            continue
        array = np.asarray(leaf)
        array = {4: lambda a: a.transpose(3, 2, 0, 1), 2: np.transpose}.get(array.ndim, np.asarray)(
            array
        )
        yield s2anet.torch_prefix(prefix + "/") + leaves.get(name, name), array


def main(arguments: list[str]) -> int:
    """Prints the comparison with one file."""
    double = "--double" in arguments
    jax.config.update("jax_enable_x64", double)
    (path,) = (argument for argument in arguments if not argument.startswith("--"))
    with np.load(path, allow_pickle=False) as file:
        rows = list(compare_s2anet(dict(file), jnp.float64 if double else jnp.float32))
    outside = [row for row in rows if not row.difference <= row.tolerance]
    for row in rows:
        mark = "  <-- outside" if row in outside else ""
        print(f"{row.name:75s} {row.difference:9.1e} <= {row.tolerance:.0e}{mark}")
    print(f"{len(rows)} arrays, {len(outside)} outside their tolerance")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
