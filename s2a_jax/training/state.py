"""The state that training carries from step to step."""

from collections.abc import Collection, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array
from jax.sharding import Mesh

from s2a_jax.objectives.joint import Objective
from s2a_jax.training.sharding import state_shardings


class TrainState(flax.struct.PyTreeNode):
    """Parameters, statistics and the optimizer's memory; neither model nor optimizer.

    Attributes:
        step: updates made so far, int32.
        params: the network's parameters, float32.
        batch_stats: running statistics of batch norms.
        opt_state: state of the optax optimizer.
        ema_params: exponential moving average of `params`; {} if it is off.
        key: raw random key of the run; a step uses `fold_in(key, step)`.
        balance: memory of the balancer of the tasks; {} for most. That of `uncertainty` contains
            `opt_state`, the optimizer's state for the numbers that it learns.
    """

    step: Array
    params: Any
    batch_stats: Any
    opt_state: Any
    ema_params: Any
    key: Array
    balance: dict[str, Any] = flax.struct.field(default_factory=dict)

    def variables(self) -> dict[str, Any]:
        """Variables to evaluate and to ship; the parameters are the averaged ones if there are."""
        params = self.ema_params if self.ema_params else self.params
        return {"params": params, "batch_stats": self.batch_stats}


def trained_part(params: Mapping[str, Any], frozen: Collection[str]) -> dict[str, Any]:
    """The parameters without those of the modules `frozen`."""
    return {name: part for name, part in params.items() if name not in frozen}


def abstract_state(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    size: int,
    mesh: Mesh,
    *,
    seed: int,
    ema: bool,
    channels: int = 1,
    objective: Objective | None = None,
    frozen: Collection[str] = (),
) -> tuple[Any, Any]:
    """The function that makes the first state, and the state's shapes with their shardings.

    Args:
        module: a network that takes [B, H, W, channels].
        optimizer: makes its state for the parameters.
        size: side in pixels of the image that the network is traced with.
        mesh: the devices.
        seed: seed of the initial values and of everything random in training.
        ema: whether to keep averaged parameters.
        channels: slabs a case.
        objective: makes its balancer's memory; None: the balancer has none.
        frozen: top-level modules whose parameters stay; the optimizer keeps nothing for them.

    Returns:
        `init`, a function without arguments, and a tree of `jax.ShapeDtypeStruct`.
    """

    def init() -> TrainState:
        params_key, run_key = jax.random.split(jax.random.key(seed))
        variables = module.init(params_key, jnp.zeros((1, size, size, channels)), train=False)
        params = variables["params"]
        balance: dict[str, Any] = objective.start_balance() if objective else {}
        if objective and (learned := objective.learned(balance)):
            balance["opt_state"] = optimizer.init(learned)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(trained_part(params, frozen)),
            ema_params=params if ema else {},
            key=jax.random.key_data(run_key),
            balance=balance,
        )

    shapes = jax.eval_shape(init)
    shardings = state_shardings(shapes, mesh)
    with_shardings = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
        shardings,
    )
    return init, with_shardings


def create_state(init: Any, abstract: Any, values: Mapping[str, np.ndarray]) -> TrainState:
    """Runs `init` so that every array is born with its sharding.

    Args:
        init: from `abstract_state`.
        abstract: from `abstract_state`.
        values: path, such as `params/encoder/resnet/root_conv/kernel` or
            `batch_stats/heads/rv/bn/mean`, -> values that replace the initial ones, also in the
            averaged parameters.
    """
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    # These are hundreds of small random draws that run once: on a CPU it takes four times as long
    # to optimise them as to do everything else here.
    is_cpu = jax.default_backend() == "cpu"
    options = {"xla_backend_optimization_level": 0} if is_cpu else None
    state = jax.jit(init, out_shardings=shardings, compiler_options=options)()
    if not values:
        return state

    def replaced(tree: Any, section: str) -> Any:
        flat = flatten_dict(tree, sep="/")
        for path, initial in flat.items():
            given = values.get(f"{section}/{path}")
            if given is not None:
                flat[path] = jax.make_array_from_callback(
                    given.shape, initial.sharding, given.__getitem__
                )
        return unflatten_dict(flat, sep="/")

    return state.replace(
        params=replaced(state.params, "params"),
        batch_stats=replaced(state.batch_stats, "batch_stats"),
        ema_params=replaced(state.ema_params, "params"),
    )
