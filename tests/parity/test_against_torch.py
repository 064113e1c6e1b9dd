"""Five networks against PyTorch in float64: both modes, ten updates, conversion both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax.traverse_util import flatten_dict
from precision import enable_x64
from references import FIELDS, KNOWN, converted, reference, state_of

from parity.losses import joint_loss
from parity.sides import inputs
from s2a_jax.convert import from_torch, to_torch
from s2a_jax.objectives.joint import Objective

STEPS, RATE, SIZE = 10, 1e-3, 32


@pytest.fixture(scope="module", params=sorted(FIELDS))
def network(request):
    return request.param


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    return {
        "image": rng.uniform(size=(2, SIZE, SIZE)),
        "rv": (rng.uniform(size=(2, SIZE, SIZE, 1)) < 0.2).astype(float),
        "faz": (rng.uniform(size=(2, SIZE, SIZE, 1)) < 0.1).astype(float),
    }


def nchw(array):
    return np.asarray(array).transpose(0, 3, 1, 2)


def test_inference_agrees(network, batch):
    module = reference(network)
    with torch.no_grad():
        theirs = module(*inputs(network, torch.from_numpy(batch["image"])))
    with enable_x64(True):
        flax, variables = converted(network, module, dtype=jnp.float64)
        ours = jax.jit(lambda v, x: flax.apply(v, x, train=False))(
            variables, batch["image"][..., None]
        )
    assert ours.keys() == theirs.keys()
    for name, logits in theirs.items():
        assert logits.std() > 1e-3
        np.testing.assert_allclose(nchw(ours[name]), logits, atol=1e-9, err_msg=name)


def test_ten_updates_agree(network, batch):
    module = reference(network)
    with enable_x64(True):
        flax, variables = converted(network, module, dtype=jnp.float64)
        ours, gradients, final = _train_jax(flax, variables, batch)
        gradients = to_torch(network, {"params": gradients})
        final = to_torch(network, final)
    theirs, their_gradients = _train_torch(network, module, batch)
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
    assert ours[-1].sum() < ours[0].sum()
    for name, gradient in their_gradients.items():
        scale = max(np.abs(gradient).max(), 1e-6)
        np.testing.assert_allclose(gradients[name] / scale, gradient / scale, atol=1e-8)
    for name, array in state_of(module).items():
        if name.endswith(("running_mean", "running_var")):
            np.testing.assert_allclose(final[name], array, atol=1e-6, err_msg=name)


def test_conversion_both_ways_is_exact(network):
    state = state_of(reference(network))
    _, variables = from_torch(network, state, **KNOWN[network])
    back = to_torch(network, variables)
    assert back.keys() == state.keys()
    assert all(np.array_equal(back[name], state[name]) for name in state)
    _, again = from_torch(network, back, **KNOWN[network])
    pairs = zip(
        flatten_dict(variables, sep="/").items(), flatten_dict(again, sep="/").items(), strict=True
    )
    assert all(a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in pairs)


def _train_torch(network, module, batch):
    """Train with PyTorch; return the tasks' losses before each update, and the first gradients."""
    optimizer = torch.optim.Adam(module.train().parameters(), lr=RATE)
    target = {task: torch.from_numpy(nchw(batch[task])) for task in ("rv", "faz")}
    losses, first = [], None
    for step in range(STEPS):
        logits = module(*inputs(network, torch.from_numpy(batch["image"])))
        parts = joint_loss(logits, target, step, STEPS)
        optimizer.zero_grad()
        parts["loss"].backward()
        if first is None:
            named = module.named_parameters()
            first = {k: p.grad.numpy().copy() for k, p in named if p.grad is not None}
        optimizer.step()
        losses.append([parts[task].item() for task in ("loss_rv", "loss_faz")])
    return np.array(losses), first


def _train_jax(module, variables, batch):
    """Train with JAX; return losses, first gradients, and the final variables."""
    # Flattened, because Adam on hundreds of small arrays would dominate compilation.
    optimizer, objective = optax.flatten(optax.adam(RATE)), Objective()
    target = {task: batch[task] for task in ("rv", "faz")}
    present = {task: np.ones(2) for task in ("rv", "faz")}

    @jax.jit
    def update(params, stats, opt_state, progress):
        def loss_fn(params):
            logits, updated = module.apply(
                {"params": params, "batch_stats": stats},
                batch["image"][..., None],
                train=True,
                mutable=["batch_stats"],
            )
            loss, parts = objective(logits, target, present, progress)
            return loss, (parts, updated["batch_stats"])

        grads, (parts, stats) = jax.grad(loss_fn, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), stats, opt_state, parts, grads

    params, stats = variables["params"], variables["batch_stats"]
    opt_state, losses, first = optimizer.init(params), [], None
    for step in range(STEPS):
        params, stats, opt_state, parts, grads = update(params, stats, opt_state, step / STEPS)
        first = grads if first is None else first
        losses.append([parts["loss_rv"], parts["loss_faz"]])
    return np.array(losses), first, {"params": params, "batch_stats": stats}
