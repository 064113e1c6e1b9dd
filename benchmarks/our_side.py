"""This package's programs, compiled and ready to be timed."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from s2a_jax.models.build import build_network
from s2a_jax.objectives.joint import Objective
from s2a_jax.training.operations import count_operations
from s2a_jax.training.optimizer import OptimizerConfig, make_optimizer, make_schedule
from s2a_jax.training.setup import jit_step
from s2a_jax.training.sharding import make_mesh, put_batch
from s2a_jax.training.state import abstract_state, create_state
from s2a_jax.training.step import predict_step, train_step


class Program(NamedTuple):
    """A compiled program on its arguments.

    Attributes:
        call: runs it once, and returns when the device is done.
        flops: operations of one call, as `count_operations` counts them.
        memory: bytes of arguments, results and temporary arrays on one device.
        compile_seconds: tracing and compiling.
        compiled: what XLA made of it.
        loss: of the first update; None for a prediction.
        gradient_norm: of the first update; None for a prediction.
    """

    call: Callable[[], None]
    flops: float
    memory: int
    compile_seconds: float
    compiled: Any
    loss: float | None = None
    gradient_norm: float | None = None


def forward_program(network: str, fields: dict[str, Any], shape: tuple[int, int, int]) -> Program:
    """Prediction of images of `shape`, [B, H, W], as `predict` and `evaluate` run it."""
    module = build_network(network, fields)
    variables = jax.jit(functools.partial(module.init, train=False))(
        jax.random.key(0), np.zeros((1, *shape[1:], 1), np.float32)
    )
    predict = jax.jit(functools.partial(predict_step, module=module))
    images = jax.device_put(random_batch(shape)["image"])
    compiled, flops, seconds = _compile(predict, variables, images)

    def call() -> None:
        jax.block_until_ready(compiled(variables, images))

    return Program(call, flops, _memory(compiled), seconds, compiled)


def train_program(
    network: str,
    fields: dict[str, Any],
    shape: tuple[int, int, int],
    *,
    remat: str = "none",
    with_mesh: bool = True,
    mesh: Mesh | None = None,
) -> Program:
    """One update by Adam without augmentation, as `train` runs it.

    Args:
        network: its name.
        fields: its hyper-parameters.
        shape: of the images, [B, H, W].
        remat: as `config.train.remat`.
        with_mesh: False: plain `jax.jit`, without any sharding.
        mesh: the devices; None: all.
    """
    module, mesh, config = build_network(network, fields), mesh or make_mesh(), OptimizerConfig()
    optimizer = make_optimizer(config, make_schedule(config, 1, 100))
    init, abstract = abstract_state(module, optimizer, shape[1], mesh, seed=0, ema=False)
    state = create_state(init, abstract, {})
    step = functools.partial(
        train_step,
        module=module,
        optimizer=optimizer,
        objective=Objective(),
        augmentation=None,
        steps_per_epoch=1,
        epochs=100,
        mesh=mesh if with_mesh else None,
        remat=remat,
    )
    batch = put_batch(random_batch(shape), mesh)
    jitted = jit_step(step, abstract, mesh) if with_mesh else jax.jit(step, donate_argnums=0)
    compiled, flops, seconds = _compile(jitted, state, batch)
    state, metrics = compiled(state, batch)
    loss, gradient_norm = float(metrics["loss"]), float(metrics["grad_norm"])

    def call() -> None:
        nonlocal state, metrics
        state, metrics = jax.block_until_ready(compiled(state, batch))

    return Program(call, flops, _memory(compiled), seconds, compiled, loss, gradient_norm)


def random_batch(shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """A batch of random images and masks, `shape` [B, H, W]."""
    rng = np.random.default_rng(0)
    present = np.ones(shape[0], np.float32)
    return {
        "image": rng.integers(0, 256, shape, np.uint8),
        "rv": rng.integers(0, 2, shape, np.uint8),
        "faz": rng.integers(0, 2, shape, np.uint8),
        "has_rv": present,
        "has_faz": present,
    }


def _compile(jitted: Any, *arguments: Any) -> tuple[Any, float, float]:
    """The compiled program, its operations, and the seconds that it took."""
    start = time.perf_counter()
    traced = jitted.trace(*arguments)
    compiled = traced.lower().compile()
    return compiled, count_operations(traced), time.perf_counter() - start


def _memory(compiled: Any) -> int:
    sizes = compiled.memory_analysis()
    return (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        - sizes.alias_size_in_bytes  # results that reuse the memory of arguments
        + sizes.temp_size_in_bytes
    )
