"""A training step or a prediction, compiled for TPUs on a machine that has none.

    python -m benchmarks.tpu_compile --variant base --batch 8 --dtype bfloat16 --topology v5e:2x4

Needs libtpu, the compiler: pip install -e '.[tpu-compile]', in an environment of its own, since JAX
looks for a TPU wherever libtpu is installed. Nothing is computed; compiling `base` takes minutes.

Prints, for one chip and one call of the program:
memory: arguments, results that do not reuse their place, temporary arrays and code;
collectives: number and bytes by kind; the bytes are those of the whole arrays;
operations: by the compiler's count (a loop's body counts once), and those of the convolutions and
products: useful, and padded. TPUs multiply tiles of 128x128 (v5e) or 256x256 (v6e). A
convolution counts as one product of matrices for each tap, a weight gradient too, and their rows,
contracted and output channels count as multiples of that side (benchmarks/hlo.py). Large maps are
computed in strips, whose borders count as useful each time;
the layers that lose most by padding, forward and backward (both gradients).
"""

import argparse
import functools
import importlib.metadata
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import Mesh

from benchmarks.command_line import parser, positive
from benchmarks.hlo import COLLECTIVES, Product, collectives, products
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.convert.weights import Description
from s2a_jax.errors import UserError
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.objectives.joint import Objective
from s2a_jax.signals import leave, run_program
from s2a_jax.training.augmentation import Augmentation
from s2a_jax.training.evaluator import make_evaluator
from s2a_jax.training.optimizer import OptimizerConfig, make_optimizer, make_schedule
from s2a_jax.training.setup import check_crop, jit_step
from s2a_jax.training.sharding import batch_sharding, check_divisible, make_mesh
from s2a_jax.training.state import abstract_state
from s2a_jax.training.step import train_step

_GIB = 2**30
_INSTALL = "pip install -e '.[tpu-compile]'"
_ENVIRONMENT = {  # libtpu asks these of a machine instead of a TPU's metadata server
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class _Chip(NamedTuple):
    """What the documentation of Cloud TPU says about a chip."""

    name: str
    memory_gib: int
    side: int  # of the matrix unit's tile


_REMAT = ("checkpoint", "remat", "rematted_computation")

_CHIPS = {"TPU v5 lite": _Chip("v5e", 16, 128), "TPU v6 lite": _Chip("v6e", 32, 256)}
"""JAX's device kind -> chip."""


def main() -> None:
    """Compile, and print the tables."""
    flags = parser("benchmarks.tpu_compile", __doc__)
    flags.add_argument("--network", default="s2anet", help="default s2anet")
    flags.add_argument("--variant", default="base", help="base (default), small or tiny")
    flags.add_argument("--size", type=positive, default=304, help="side in pixels; default 304")
    flags.add_argument("--batch", type=positive, default=8, help="images for a chip; default 8")
    flags.add_argument("--dtype", default="bfloat16", help="bfloat16 (default) or float32")
    flags.add_argument("--topology", default="v5e:2x4", help="chips, as v5e:16x16; default v5e:2x4")
    flags.add_argument("--fsdp", type=positive, default=1, help="as config.mesh.fsdp; default 1")
    flags.add_argument("--step", choices=_STEPS, default="train", help="default train")
    flags.add_argument("--remat", default="none", help="as config.train.remat; default none")
    flags.add_argument(
        "--accumulate", type=positive, default=1, help="as config.train.accumulate; default 1"
    )
    flags.add_argument("--top", type=positive, default=10, help="layers to print; default 10")
    flags.add_argument("--hlo", help="file to write the compiled program's text to")
    options = flags.parse_args()
    _check_libtpu()
    check_crop(options.size, options.size)
    jax.config.update("jax_platforms", "cpu")
    chip, mesh = _target(options.topology, options.fsdp)
    jitted, arguments = _STEPS[options.step](options, mesh)
    print(
        f"{options.network} {options.variant}, {options.step}, {options.size}x{options.size}, "
        f"batch {options.batch} a chip, {options.dtype}, remat {options.remat}, accumulate "
        f"{options.accumulate}; {options.topology}, data {mesh.shape['data']} x fsdp "
        f"{mesh.shape['fsdp']}; jax {jax.__version__}, libtpu {_version('libtpu')}",
        flush=True,
    )
    start = time.perf_counter()
    try:
        compiled = jitted.lower(*arguments).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(f"does not fit: {str(error).splitlines()[0]}")
        return
    print(f"compiled in {time.perf_counter() - start:.0f} s")
    text = compiled.as_text()
    if options.hlo:
        with open(options.hlo, "w", encoding="utf-8") as file:
            file.write(text)
    _print_memory(compiled.memory_analysis(), chip)
    _print_collectives(text)
    counted = compiled.cost_analysis()["flops"]
    _print_products(products(text, chip.side), counted, chip, options.top)


def _check_libtpu() -> None:
    """Raises a UserError unless there is a libtpu, of the release that this jaxlib needs."""
    found = _version("libtpu")
    if found is None:
        raise UserError(f"libtpu, the compiler for TPUs, is missing: {_INSTALL} installs it.")
    needed = [
        match[1]
        for line in importlib.metadata.requires("jax") or ()
        if (match := re.match(r"libtpu==([\w.*]+)", line))
    ]
    if not any(fnmatch(found, pattern) for pattern in needed):
        raise UserError(
            f"libtpu {found} does not fit jax {jax.__version__}, which needs {needed[0]}: "
            f"{_INSTALL} installs it."
        )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _target(topology: str, fsdp: int) -> tuple[_Chip, Mesh]:
    """The kind of chip, and a mesh of all chips.

    Raises:
        UserError: no such topology, or fsdp does not divide its chips.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"--topology={topology}: expected a TPU's name and its chips, as v5e:2x4 ({reason})."
        ) from error
    if devices[0].device_kind not in _CHIPS:
        known = ", ".join(chip.name for chip in _CHIPS.values())
        raise UserError(f"--topology={topology}: expected chips of the kind {known}.")
    return _CHIPS[devices[0].device_kind], make_mesh(-1, fsdp, devices)


def _train(options: argparse.Namespace, mesh: Mesh) -> tuple[Any, Sequence[Any]]:
    """The jitted update and the shapes of its arguments, with the recipe of the variant."""
    config = load_config("default")
    config.model.update({"name": options.network, "variant": options.variant})
    config = resolve(config)
    batch = options.batch * mesh.size
    check_divisible(batch, mesh, "--batch x chips", options.accumulate)
    optimizer_config = OptimizerConfig(**config.optimizer)
    optimizer = make_optimizer(optimizer_config, make_schedule(optimizer_config, 1, 100))
    module, objective = _module(options), Objective(**config.objective)
    _, abstract = abstract_state(
        module, optimizer, options.size, mesh, seed=0, ema=False, objective=objective
    )
    step = functools.partial(
        train_step,
        module=module,
        optimizer=optimizer,
        objective=objective,
        augmentation=Augmentation(**dict(config.augment) | {"crop": 0}),
        steps_per_epoch=1,
        epochs=100,
        mesh=mesh,
        remat=options.remat,
        accumulate=options.accumulate,
    )
    present = {name: _rows(mesh, jnp.float32, batch) for name in ("has_rv", "has_faz")}
    pixels = {
        name: _rows(mesh, jnp.uint8, batch, options.size, options.size)
        for name in ("image", "rv", "faz")
    }
    return jit_step(step, abstract, mesh), (abstract, pixels | present)


def _predict(options: argparse.Namespace, mesh: Mesh) -> tuple[Any, Sequence[Any]]:
    """The jitted prediction of an evaluation, and the shapes of its arguments."""
    module, batch = _module(options), options.batch * mesh.size
    optimizer = make_optimizer(OptimizerConfig(name="sgd"), lambda step: 0.0)  # without memory
    _, abstract = abstract_state(module, optimizer, options.size, mesh, seed=0, ema=False)
    evaluator = make_evaluator(
        module,
        Description(options.network, {}, None),
        (),
        mesh,
        batch_size=batch,
        threshold=0.5,
    )
    images = _rows(mesh, jnp.uint8, batch, options.size, options.size)
    return evaluator.predict_batch, (abstract.variables(), images)


_STEPS: dict[str, Callable[[argparse.Namespace, Mesh], tuple[Any, Sequence[Any]]]] = {
    "train": _train,
    "predict": _predict,
}


def _module(options: argparse.Namespace) -> Any:
    chosen = {"name": options.network, "variant": options.variant, "dtype": options.dtype}
    return build_network(options.network, network_fields(chosen, options.size))


def _rows(mesh: Mesh, dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=batch_sharding(mesh))


def _print_memory(sizes: Any, chip: _Chip) -> None:
    parts = {
        "arguments": sizes.argument_size_in_bytes,
        "results": sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
        "temporary": sizes.temp_size_in_bytes,
        "code": sizes.generated_code_size_in_bytes,
    }
    listed = ", ".join(f"{name} {size / _GIB:.2f}" for name, size in parts.items())
    total = sum(parts.values()) / _GIB
    print(f"memory a chip: {total:.2f} GiB of the {chip.memory_gib} of a {chip.name} ({listed})")


def _print_collectives(text: str) -> None:
    print("collectives:          number         MiB")
    found = collectives(text)
    for kind in COLLECTIVES:
        of = [one for one in found if one.kind == kind]
        moved = sum(one.bytes * one.times for one in of) / 2**20
        print(f"  {kind:<18} {sum(one.times for one in of):8d}  {moved:10.2f}")


def _print_products(found: Sequence[Product], counted: float, chip: _Chip, top: int) -> None:
    useful = sum(one.useful * one.times for one in found)
    padded = sum(one.padded * one.times for one in found)
    print(
        f"operations: {counted / 1e12:.2f} T by the compiler's count; convolutions and products: "
        f"{useful / 1e12:.2f} T useful, {padded / 1e12:.2f} T padded to tiles of "
        f"{chip.side}x{chip.side} (x{padded / useful:.2f})"
    )
    layers: dict[tuple[str, str], list[Product]] = defaultdict(list)
    for one in found:
        layers[_layer(one.path)].append(one)
    lost = {
        layer: sum((one.padded - one.useful) * one.times for one in of)
        for layer, of in layers.items()
    }
    print("share of the padding  useful GFLOP  padded GFLOP  ratio  channels   layer")
    for layer in sorted(lost, key=lost.__getitem__, reverse=True)[:top]:
        of = layers[layer]
        useful_here = sum(one.useful * one.times for one in of)
        padded_here = sum(one.padded * one.times for one in of)
        contracted, outputs = max(of, key=lambda one: one.padded * one.times).channels
        print(
            f"{lost[layer] / (padded - useful):20.1%} {useful_here / 1e9:13.1f} "
            f"{padded_here / 1e9:13.1f} {padded_here / useful_here:6.1f}  "
            f"{f'{contracted}->{outputs}':<9}  {' '.join(layer)}"
        )


def _layer(path: str) -> tuple[str, str]:
    """An instruction's direction and module: ("forward", "heads/gcem/decoder_*/conv_more/conv")."""
    direction = "backward" if "transpose(" in path else "forward"
    # Decoders are alike, and so are blocks of the Transformer.
    path = re.sub(r"(decoder|transformer/block)_\d+", r"\1_*", path)
    parts = [part for part in path.split("/")[:-1] if "(" not in part and part not in _REMAT]
    half = len(parts) // 2
    if parts[:half] == parts[half:]:  # a layer that is a checkpoint names its module twice
        parts = parts[:half]
    return direction, "/".join(parts) or path


if __name__ == "__main__":
    leave(run_program(main))
