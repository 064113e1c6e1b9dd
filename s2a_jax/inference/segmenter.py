"""A trained network with `predict` and `predict_proba`."""

import functools
import json
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from s2a_jax.convert.weights import Description, parse_description, read_weights, save_weights
from s2a_jax.errors import UserError
from s2a_jax.inputs.images import to_unit_float
from s2a_jax.inputs.slabs import slabs_to_unit_float
from s2a_jax.models.build import build_network
from s2a_jax.training.checkpoint import Checkpoints, restore_variables
from s2a_jax.training.step import predict_step

SHIPPED = {"sim_to_real": Path(__file__).parent / "weights/sim_to_real.safetensors"}
"""Name -> weights that come with the package; docs/data.md describes their training data."""

_SMALLEST_SIDE = 32  # pixels; smaller images give a single token


class Padded(NamedTuple):
    """An image as a network takes it.

    Attributes:
        pixels: float32 [H', W'] or [H', W', C] in [0, 1]; both sides are multiples of 16.
        height: H, the image's own, at most H'.
        width: W.
    """

    pixels: np.ndarray
    height: int
    width: int


class Segmenter:
    """A trained network that segments vessels and the FAZ in en-face OCTA images.

    `load_from_checkpoint` makes one. The package exports this class as `S2ANet`; the Linen module
    of that name is `s2a_jax.models.s2anet.S2ANet`.

    Attributes:
        network: name of the network.
        fields: its hyper-parameters.
        module: the network itself, without its variables.
        variables: {"params", "batch_stats"}.
        slabs: names of the slabs that it takes as channels, in order; () for a network of one slab.
        slab: what it was trained on, as in `config.data.slab`: `slabs` joined by commas, or the one
            slab; None for the data set's first, or if unknown.
    """

    def __init__(
        self,
        network: str,
        fields: dict[str, Any],
        variables: dict[str, Any],
        slab: str | None = None,
    ):
        self.network, self.fields = network, fields
        self.module = module = build_network(network, fields)
        self.slabs: tuple[str, ...] = module.slabs
        self.slab: str | None = ",".join(self.slabs) or slab
        _check_variables(module, variables, network)
        self.variables = jax.device_put(variables)  # once, not at every call
        self._predict = jax.jit(functools.partial(predict_step, module=module))

    @classmethod
    def load_from_checkpoint(cls, path: str | Path) -> "Segmenter":
        """Loads a trained network.

        Args:
            path: a workdir (its best checkpoint), one of its `checkpoints/<step>`, exported weights
                (`.safetensors`), or a name in `SHIPPED` unless a file or folder has that name.

        Raises:
            UserError: `path` is none of these, or is damaged.
        """
        path = Path(path).expanduser()
        if not path.exists():
            path = SHIPPED.get(str(path), path)
        if path.is_file():
            described, variables = read_weights(path)
            return cls._described(described, variables, path)
        if not path.is_dir():
            raise UserError(
                f"No weights at {path}: expected a workdir, one of its checkpoints/<step>, a "
                f".safetensors file, or weights that come with s2a_jax ({', '.join(SHIPPED)})."
            )
        if (path / "checkpoints").is_dir():
            path = path / "checkpoints" / str(_best_step(path))
        meta, variables = restore_variables(path)
        return cls._described(parse_description(meta, path), variables, path)

    @classmethod
    def _described(
        cls, described: Description, variables: dict[str, Any], path: Path
    ) -> "Segmenter":
        try:
            return cls(described.network, described.fields, variables, described.slab)
        except UserError as error:
            raise UserError(f"{path} cannot be used: {error}") from error

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Exports the weights to one `.safetensors` file that `load_from_checkpoint` reads.

        Args:
            path: the file.
            half: store float16, which halves the file.
        """
        variables = jax.device_get(self.variables)
        slab = None if self.slabs else self.slab
        save_weights(Path(path), self.network, self.fields, variables, slab=slab, half=half)

    def predict(
        self, image: np.ndarray, *, threshold: float = 0.5
    ) -> tuple[np.ndarray, np.ndarray]:
        """Segments vessels and avascular zone.

        Args:
            image: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of any size; uint8, uint16, or float
                in [0, 1]. Colours are averaged to luminance. A network of C > 1 `slabs` takes
                [H, W, C] instead, one slab a channel.
            threshold: smallest probability of a mask's pixels, in [0, 1].

        Returns:
            `rv_mask` and `faz_mask`, bool [H, W].

        Raises:
            UserError: `image` is not such an array.
        """
        probability = self.predict_proba(image)
        return probability["rv"] >= threshold, probability["faz"] >= threshold

    def predict_proba(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Computes the probabilities of both tasks.

        The image is padded by reflection to multiples of 16 and the result is cropped, so the
        image keeps its resolution: its pixels should be about as large as in training (9.9 um for
        OCTA-500 3M).

        Args:
            image: as for `predict`.

        Returns:
            {"rv", "faz"}: float32 [H, W] in [0, 1].

        Raises:
            UserError: `image` is not such an array, or the weights are damaged.
        """
        padded = self.pad(image)
        probability = jax.device_get(self._predict(self.variables, padded.pixels[None]))
        return self.crop({task: p[0] for task, p in probability.items()}, padded)

    def pad(self, image: np.ndarray) -> Padded:
        """Checks an image and pads it by reflection to multiples of 16, as `predict_proba` does.

        Args:
            image: as for `predict`.

        Raises:
            UserError: `image` is not such an array.
        """
        intensity = slabs_to_unit_float(image, self.slabs) if self.slabs else to_unit_float(image)
        height, width = intensity.shape[:2]
        bottom, right = (_padded_side(n) - n for n in (height, width))
        beside = ((0, bottom), (0, right), *[(0, 0)] * (intensity.ndim - 2))
        return Padded(np.pad(intensity, beside, mode="symmetric"), height, width)

    def crop(self, probability: dict[str, np.ndarray], padded: Padded) -> dict[str, np.ndarray]:
        """Removes the padding from the probabilities [H', W'] of one image.

        Raises:
            UserError: the weights are damaged.
        """
        if not all(np.isfinite(p).all() for p in probability.values()):
            raise UserError(
                f"The network {self.network} returns values that are not numbers (NaN), so its "
                "weights are damaged; pass others."
            )
        return {task: p[: padded.height, : padded.width] for task, p in probability.items()}

    def fingerprint(self) -> str:
        """A hash of the network, its hyper-parameters and its variables."""
        described = (self.network, self.fields, self.slabs)
        digest = blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=16)
        for name, leaf in sorted(flatten_dict(self.variables, sep="/").items()):
            digest.update(f"{name} {leaf.dtype} {leaf.shape}".encode())
            digest.update(np.ascontiguousarray(leaf))
        return digest.hexdigest()


def _padded_side(side: int) -> int:
    return max(_SMALLEST_SIDE, -(-side // 16) * 16)


def _best_step(workdir: Path) -> int:
    """Step of the best validated checkpoint of a workdir, or of the newest if none is validated."""
    checkpoints = Checkpoints(workdir / "checkpoints")
    best, latest = checkpoints.best, checkpoints.latest_step
    checkpoints.close()
    if latest is None:
        weights = workdir / "weights.safetensors"
        remedy = f"pass {weights}" if weights.is_file() else "train first"
        raise UserError(f"{workdir} has no checkpoint: {remedy}.")
    return best[0] if best else latest


def _check_variables(module: Any, variables: dict[str, Any], network: str) -> None:
    """Raises a UserError unless the variables have this network's names and shapes."""
    image = jax.ShapeDtypeStruct((1, 64, 64, len(module.slabs) or 1), np.float32)
    expected = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    shapes = {k: v.shape for k, v in flatten_dict(expected, sep="/").items()}
    found = {k: v.shape for k, v in flatten_dict(variables, sep="/").items()}
    for name in sorted(shapes.keys() | found.keys()):
        if shapes.get(name) != found.get(name):
            raise UserError(
                f"These weights are not those of the network {network} they name: {name} is "
                f"{found.get(name, 'missing')}, expected {shapes.get(name, 'no such array')}."
            )
