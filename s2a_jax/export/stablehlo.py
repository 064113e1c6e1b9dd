"""A network with its weights as one StableHLO program, which JAX alone loads."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from s2a_jax.convert.weights import Description
from s2a_jax.extras import import_extra
from s2a_jax.inference.runtimes import STABLEHLO_METADATA, stablehlo_digest
from s2a_jax.models.build import build_network
from s2a_jax.training.step import predict_step

PLATFORMS = ("cpu", "cuda", "tpu")


def write_stablehlo(path: Path, description: Description, variables: Mapping[str, Any]) -> None:
    """Writes a program that takes images of any number, height and width, on any of `PLATFORMS`.

    `jax.export.deserialize(path.read_bytes()).call(images)` runs it: images float32 [B, H, W], or
    [B, H, W, C] with C slabs, in [0, 1], with sides that are multiples of 16 -> {"rv", "faz"},
    float32 [B, H, W].

    Raises:
        UserError: flatbuffers is not installed.
        OSError: the file cannot be written.
    """
    import_extra("flatbuffers", "stablehlo", f"Writing {path}")
    from jax import export

    module = build_network(description.network, description.fields)

    def predict(images: jax.Array) -> dict[str, jax.Array]:
        probability = predict_step(variables, images, module=module)
        return {task: probability[task] for task in description.tasks}

    batch, height, width = export.symbolic_shape("b, h, w")
    shape = (batch, 16 * height, 16 * width, *[len(module.slabs)] * bool(module.slabs))
    images = jax.ShapeDtypeStruct(shape, np.float32)
    program = bytes(export.export(jax.jit(predict), platforms=PLATFORMS)(images).serialize())
    path.write_bytes(program)
    described = description.stored() | {"digest": stablehlo_digest(program)}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(STABLEHLO_METADATA, json.dumps(described))
