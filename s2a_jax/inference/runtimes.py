"""Exported networks: files that compute probabilities without the network's Python code.

`s2a_jax.export` writes them. A file carries its network's description, so it predicts like the
weights it was made of: same slabs, pitches and tasks. Its suffix says what it is.
"""

import functools
import json
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from s2a_jax.convert.weights import Description, parse_description
from s2a_jax.errors import UserError
from s2a_jax.extras import import_extra
from s2a_jax.machine import cores

METADATA = "s2a_jax"
"""Name of the description in a file: an entry of ONNX's metadata."""
STABLEHLO_METADATA = f"{METADATA}.json"
"""The same in a StableHLO file: an entry of the zip archive after the program.

Readers of the program stop before the archive, and readers of archives skip what precedes it.
"""

Compute = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""Pixels, float32 [B, H, W] or [B, H, W, C] in [0, 1] with sides that are multiples of 16 ->
probabilities of the tasks, float32 [B, H, W]."""

_SIZES = 4  # sizes for which OpenVINO's programs are kept; each holds the weights


class Runtime(NamedTuple):
    """An exported network, ready to compute.

    Attributes:
        name: of the runtime, a key of `RUNTIMES`.
        description: the network.
        digest: hash of the file.
        compute: the network itself.
        batch_size: images that `predict_stream` computes together; on a CPU, more are no faster.
    """

    name: str
    description: Description
    digest: str
    compute: Compute
    batch_size: int = 1

    def predict(self, variables: dict[str, Any], pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities, as `predict_step` returns them; the variables are in the file."""
        del variables
        return dict(self.compute(np.asarray(pixels, np.float32)))

    def rows(self, shape: tuple[int, ...]) -> int:
        """Images in a full batch of images of this shape; as `BatchPredictor.rows`."""
        del shape
        return self.batch_size

    def start(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Computes images of one padded shape; as `BatchPredictor.start`."""
        return self.predict({}, np.stack(images))


def is_exported(path: Path) -> bool:
    """Whether the suffix of a file is that of an exported network."""
    return path.suffix.lower() in {suffix for suffix, _ in RUNTIMES.values()}


def open_exported(path: Path, runtime: str | None = None) -> Runtime:
    """Opens an exported network.

    Args:
        path: the file.
        runtime: what computes it, a key of `RUNTIMES`; None for the first that takes the file.

    Raises:
        UserError: the runtime is unknown, not installed or for other files; the file is missing or
            damaged, or this package did not write it.
    """
    suffix = path.suffix.lower()
    if runtime is None:
        runtime = next(name for name, (of, _) in RUNTIMES.items() if of == suffix)
    if runtime not in RUNTIMES:
        raise UserError(f"There is no runtime {runtime!r}; expected one of {', '.join(RUNTIMES)}.")
    expected, opener = RUNTIMES[runtime]
    if suffix != expected:
        raise UserError(
            f"The runtime {runtime} takes {expected} files, not {path}: pass a file of "
            f"python -m s2a_jax export --weights WEIGHTS --to FILE{expected}."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error}.") from error
    text, compute = opener(path, content)
    try:
        values = json.loads(text)
    except ValueError:
        raise _foreign(path) from None
    digest = blake2b(content, digest_size=16).hexdigest()
    return Runtime(runtime, parse_description(values, path), digest, compute)


def stablehlo_digest(program: bytes) -> str:
    """Hash of a StableHLO program, by which damage to its file is found."""
    return blake2b(program, digest_size=16).hexdigest()


def _open_onnx(path: Path, content: bytes) -> tuple[str, Compute]:
    """Opens an ONNX file in ONNX Runtime.  -> the description as JSON, and the network."""
    onnxruntime = import_extra("onnxruntime", "onnx", f"Running {path}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = cores()
    # Threads that wait must not keep the cores from those that read and write images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common class for errors of files
        raise _damaged(path) from error
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA not in metadata:
        raise _foreign(path)
    (image,) = session.get_inputs()
    tasks = [output.name for output in session.get_outputs()]

    def compute(pixels: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(tasks, session.run(tasks, {image.name: pixels}), strict=True))

    return metadata[METADATA], compute


def _open_openvino(path: Path, content: bytes, precision: str) -> tuple[str, Compute]:
    """Opens an ONNX file in OpenVINO.  -> the description as JSON, and the network."""
    # Its import would start a process that reports to a web service; this leaves that part out.
    sys.modules.setdefault("openvino_telemetry", None)
    openvino = import_extra("openvino", "openvino", f"Running {path} with OpenVINO")
    core = openvino.Core()
    try:
        model = core.read_model(content, b"")
    except RuntimeError as error:
        raise _damaged(path) from error
    name = ["framework", METADATA]
    if not model.has_rt_info(name):
        raise _foreign(path)
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": cores(),
    }

    # With the size known, OpenVINO computes a tenth faster; it compiles in a fraction of a second.
    @functools.lru_cache(_SIZES)
    def compiled(shape: tuple[int, ...]) -> Any:
        sized = model.clone()
        sized.reshape(shape)
        return core.compile_model(sized, "CPU", options)

    def compute(pixels: np.ndarray) -> dict[str, np.ndarray]:
        outputs = compiled(pixels.shape)(pixels)
        return {port.get_any_name(): array for port, array in outputs.items()}

    return model.get_rt_info(name).value, compute


def _open_stablehlo(path: Path, content: bytes) -> tuple[str, Compute]:
    """Opens a StableHLO file in JAX.  -> the description as JSON, and the network."""
    import_extra("flatbuffers", "stablehlo", f"Reading {path}")
    from jax import export

    try:
        with zipfile.ZipFile(path) as archive:
            start = min(entry.header_offset for entry in archive.infolist())
            values = json.loads(archive.read(STABLEHLO_METADATA))
            program, digest = content[:start], values.pop("digest")
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise _damaged(path) from error
    if stablehlo_digest(program) != digest:
        raise _damaged(path)
    exported = export.deserialize(bytearray(program))
    platform = jax.default_backend()
    if {"gpu": "cuda"}.get(platform, platform) not in exported.platforms:
        raise UserError(
            f"{path} is for {', '.join(exported.platforms)}, and JAX computes on {platform} here: "
            "set JAX_PLATFORMS=cpu."
        )
    run = jax.jit(exported.call)
    return json.dumps(values), lambda pixels: jax.device_get(run(pixels))


RUNTIMES: Mapping[str, tuple[str, Callable[[Path, bytes], tuple[str, Compute]]]] = MappingProxyType(
    {
        "onnx": (".onnx", _open_onnx),
        "openvino": (".onnx", functools.partial(_open_openvino, precision="f32")),
        "openvino-bf16": (".onnx", functools.partial(_open_openvino, precision="bf16")),
        "stablehlo": (".stablehlo", _open_stablehlo),
    }
)
"""Runtime -> suffix of the files that it takes, and what opens one. The first is the default."""


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is damaged, or no exported network: copy it again, or write it anew with "
        "python -m s2a_jax export."
    )


def _foreign(path: Path) -> UserError:
    return UserError(
        f"s2a_jax did not write {path}: pass a file of python -m s2a_jax export --weights WEIGHTS "
        f"--to FILE{path.suffix}."
    )
