"""Writes tests/data_files/s2anet.npz, the small golden file that the tests compare with.

    python tests/fixtures_s2anet.py

A narrow S2A-Net with random weights, computed by this package in double precision. Made when the
package agreed with the PyTorch original's own arrays (tests/golden.py says how to compare) to 1e-6;
run it again only after such a comparison.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict

from s2a_jax.convert import s2anet
from s2a_jax.models.s2anet import S2ANet
from s2a_jax.objectives.joint import Objective

FILE = Path(__file__).parent / "data_files" / "s2anet.npz"
GROUPS = 4
STEPS, RATE = 8, 1e-3
EPOCH, TOTAL = 3, 10

_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def torch_named(tree):
    """A tree under PyTorch's names, in PyTorch's layout."""
    named = {}
    for path, leaf in flatten_dict(tree, sep="/").items():
        prefix, _, name = path.rpartition("/")
        array = np.asarray(leaf)
        if array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif array.ndim == 2:
            array = array.T
        if name == "position_embedding":
            named[s2anet.torch_prefix(path)] = array
        else:
            named[s2anet.torch_prefix(prefix + "/") + _LEAVES.get(name, name)] = array
    return named


def nchw(array):
    return np.asarray(array).transpose(0, 3, 1, 2)


def make() -> dict[str, np.ndarray]:
    module = S2ANet(
        width=8,
        units=(1, 2, 1),
        groups=GROUPS,
        hidden=16,
        num_heads=4,
        mlp_width=24,
        dropout_rate=0.0,
        first_channels=8,
        decoder_channels=(8, 6, 4, 4),
        gcem_layers=(1, 2),
        grid=(2, 2),
        dtype=jnp.float64,
    )
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(size=(2, 32, 32, 3)).astype(np.float32), jnp.float64)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), image, train=False))
    variables = {}
    for path, leaf in flatten_dict(shapes, sep="/").items():
        noise = rng.normal(size=leaf.shape)
        if path.endswith(("scale", "var")):
            noise = 1 + 0.2 * np.tanh(noise)
        elif path.endswith("kernel"):
            noise /= np.sqrt(np.prod(leaf.shape[:-1]))
        else:
            noise *= 0.2
        variables[path] = noise.astype(np.float32).astype(np.float64)
    variables = {
        collection: _nest({k: v for k, v in variables.items() if k.startswith(collection)})
        for collection in ("params", "batch_stats")
    }
    target = {
        "rv": jnp.asarray(rng.uniform(size=(2, 32, 32, 1)) < 0.2, jnp.float64),
        "faz": jnp.zeros((2, 32, 32, 1)).at[:, 10:20, 12:22].set(1.0),
    }
    golden = {"input": nchw(image)}
    golden |= {f"target_{task}": nchw(t).astype(np.uint8) for task, t in target.items()}
    golden |= {f"state/{k}": v for k, v in torch_named(variables["params"]).items()}
    golden |= {f"state/{k}": v for k, v in torch_named(variables["batch_stats"]).items()}

    logits, seen = module.apply(
        variables, image, train=False, mutable=["intermediates"], capture_intermediates=True
    )
    encoder = seen["intermediates"]["encoder"]
    golden |= {f"eval/{task}": nchw(jax.nn.sigmoid(z)) for task, z in logits.items()}
    golden |= {f"eval/encoder_{i}": encoder["transformer"][f"tokens_{i}"][0] for i in range(3)}
    skips = encoder["__call__"][0]["skips"]
    golden |= {f"eval/skip_{i}": nchw(skip) for i, skip in enumerate(skips)}

    objective, present = Objective(), {"rv": jnp.ones(2), "faz": jnp.ones(2)}

    @jax.jit
    def gradients(params, batch_stats, progress):
        def loss_fn(params):
            logits, updated = module.apply(
                {"params": params, "batch_stats": batch_stats},
                image,
                train=True,
                mutable=["batch_stats"],
            )
            loss, parts = objective(logits, target, present, progress)
            return loss, (parts, updated["batch_stats"], logits)

        return jax.grad(loss_fn, has_aux=True)(params)

    def numbers(parts):
        return np.array([parts[k] for k in ("loss_rv", "loss_faz", "alpha", "loss")])

    params, stats = variables["params"], variables["batch_stats"]
    grads, (parts, new_stats, logits) = gradients(params, stats, EPOCH / TOTAL)
    golden |= {f"train/{task}": nchw(jax.nn.sigmoid(z)) for task, z in logits.items()}
    golden |= {"train/losses": numbers(parts), "train/epoch_total": np.array([EPOCH, TOTAL])}
    golden |= {f"stats/{k}": v for k, v in torch_named(new_stats).items()}
    golden |= {
        f"grad/{k}": v
        for k, v in torch_named(grads).items()
        if "Multioutput" not in k and not k.endswith("attn.key.bias")
    }
    optimizer = optax.adam(lambda e: RATE * (1 - e / STEPS) ** 0.9, eps=1e-8)
    opt_state, losses = optimizer.init(params), []
    for step in range(STEPS):
        grads, (parts, stats, _) = gradients(params, stats, step / STEPS)
        losses.append(numbers(parts))
        updates, opt_state = optimizer.update(grads, opt_state)
        params = optax.apply_updates(params, updates)
    golden |= {"trajectory/losses": np.array(losses), "trajectory/lr_steps": [RATE, STEPS]}
    keep_double = ("losses", "epoch_total", "lr_steps", "target")
    return {
        k: np.asarray(v) if any(word in k for word in keep_double) else np.float32(v)
        for k, v in golden.items()
    }


def _nest(flat):
    tree = {}
    for path, leaf in flat.items():
        *parents, name = path.split("/")[1:]
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = jnp.asarray(leaf)
    return tree


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, **make())
    print(f"{FILE}: {FILE.stat().st_size / 1e3:.0f} kB")
