"""Networks with every module on a split mesh, and with blocks that are computed again."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from precision import enable_x64

from s2a_jax.errors import UserError
from s2a_jax.models.build import build_network
from s2a_jax.training.forward import forward
from s2a_jax.training.sharding import batch_sharding, make_mesh, state_shardings
from tests.networks import drawn_variables

SIZE, BATCH = 32, 8
HYBRID = {
    "width": 8,
    "units": (1, 1, 1),
    "groups": 4,
    "hidden": 32,
    "num_heads": 4,
    "mlp_width": 64,
    "first_channels": 16,
    "decoder_channels": (8, 8, 4, 4),
    "grid": (2, 2),
}
# The modules of transunet are those of s2anet, and unet's those of jointseg.
SMALLEST = {
    "s2anet": HYBRID | {"gcem_layers": (1,)},
    "jointseg": {"widths": (8, 8, 8, 16, 16)},
    "vaffnet": {
        "width": 4,
        "units": (1, 1, 1, 1),
        "pyramid_features": 8,
        "gate_features": (8,),
        "head_features": 8,
    },
}


def start(network, **fields):
    """A network, its variables and images."""
    module = build_network(network, SMALLEST[network] | fields)
    images = np.random.default_rng(1).uniform(size=(BATCH, SIZE, SIZE, 1))
    return module, drawn_variables(module, images.shape), images


def mean_square(module, params, batch_stats, images, **options):
    """The mean squared logits, and the new statistics."""
    logits, updated = forward(
        module,
        {"params": params, "batch_stats": batch_stats},
        images,
        train=True,
        rngs={"dropout": jax.random.key(2)},
        mutable=["batch_stats"],
        **options,
    )
    return sum(jnp.mean(of**2) for of in logits.values()), updated["batch_stats"]


def gradient(module, **options):
    """A function of variables and images that returns the gradient and the new statistics."""
    loss = functools.partial(mean_square, module, **options)

    def compute(variables, images):
        return jax.grad(loss, has_aux=True)(variables["params"], variables["batch_stats"], images)

    return compute


def assert_close(ours, theirs):
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


@pytest.mark.parametrize("network", SMALLEST)
@enable_x64(True)
def test_split_parameters_and_blocks_change_no_gradient(network, capfd):
    module, variables, images = start(network, dtype=jnp.float64)
    variables = jax.tree.map(lambda leaf: leaf.astype(float), variables)
    mesh = make_mesh(fsdp=8)
    shardings = (state_shardings(variables, mesh), batch_sharding(mesh))
    split = jax.jit(
        gradient(module, mesh=mesh, remat="blocks"),
        in_shardings=shardings,
        out_shardings=(shardings[0]["params"], shardings[0]["batch_stats"]),
    )
    compiled = split.lower(variables, images).compile()
    assert "Involuntary full rematerialization" not in capfd.readouterr().err
    found = set(re.findall(r" (all-[a-z-]+|collective-permute)\(", compiled.as_text()))
    assert found == {"all-gather", "all-reduce"}
    # Dropout, batch norm, attention; deformable convolutions. A gradient takes 10 s to compile.
    if network in ("s2anet", "vaffnet"):
        ours = compiled(*jax.device_put((variables, images), shardings))
        assert_close(ours, jax.jit(gradient(module, mesh=None))(variables, images))


@pytest.mark.parametrize("network", SMALLEST)
def test_recomputed_blocks_keep_less_for_the_backward_pass(network):
    module = build_network(network, SMALLEST[network])
    images = jnp.zeros((BATCH, SIZE, SIZE, 1))
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), images, train=False))

    def kept(remat):
        """Bytes from the forward to the backward pass; XLA for CPUs undoes some checkpoints."""
        loss = functools.partial(mean_square, module, mesh=None, remat=remat)

        def backward(params, batch_stats):
            return jax.vjp(lambda p: loss(p, batch_stats, images)[0], params)[1]

        stored = jax.eval_shape(backward, variables["params"], variables["batch_stats"])
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(stored))

    assert kept("blocks") < 0.6 * kept("none"), (kept("blocks"), kept("none"))


def test_an_unknown_remat_is_refused():
    with pytest.raises(UserError, match=r"config\.train\.remat='all': expected none or blocks"):
        forward(None, {}, None, mesh=None, remat="all", train=False)
