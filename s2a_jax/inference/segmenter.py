"""A trained network with `predict` and `predict_proba`."""

import functools
import json
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from s2a_jax.convert.weights import TASKS, Description, check_variables, save_weights
from s2a_jax.errors import UserError
from s2a_jax.inference.batches import BatchPredictor
from s2a_jax.inference.masks import masks_of
from s2a_jax.inference.pieces import Computed, Maps, Prepared
from s2a_jax.inference.runtimes import Runtime, is_exported, open_exported
from s2a_jax.inference.scale import UmPerPx, scale_for
from s2a_jax.inference.stream import predict_stream
from s2a_jax.inputs.images import to_unit_float
from s2a_jax.inputs.slabs import slabs_to_unit_float
from s2a_jax.models.build import build_network
from s2a_jax.training.step import predict_step
from s2a_jax.training.stored import SHIPPED, read_stored

Masks = tuple[np.ndarray | None, np.ndarray | None]
"""Vessels and FAZ, bool [H, W]; None for a task that the network was not trained on."""


class Predictor:
    """What one network and several have in common: masks and probabilities of what they compute.

    Attributes:
        slabs: names of the slabs that it takes as channels, in order; () for one slab.
        pitches_um: smallest and largest pixel pitch that it was trained on, um; None if unknown.
        tasks: those that it was trained on, of "rv" and "faz".
    """

    slabs: tuple[str, ...]
    pitches_um: tuple[float, float] | None
    tasks: tuple[str, ...]

    def predict(
        self,
        image: np.ndarray,
        *,
        um_per_px: UmPerPx | None = None,
        tta: bool = False,
        threshold: float = 0.5,
    ) -> Masks:
        """Segments vessels and avascular zone.

        Args:
            image: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of any size; uint8, uint16, or float
                in [0, 1]. Colours are averaged to luminance. A network of C > 1 `slabs` takes
                [H, W, C] instead, one slab a channel.
            um_per_px: pixel pitch, um: a number, or (down, across) for pixels that are not square.
                An image of 3 mm and 1024 pixels has 3000 / 1024.
            tta: average over the eight symmetries, which takes eight times as long.
            threshold: smallest probability of a mask's pixels, in [0, 1].

        Returns:
            `rv` and `faz`, bool [H, W]; None for a task that the network was not trained on. `faz`
            is its most central piece, see `inputs.fovea`.

        Raises:
            UserError: `image` is not such an array, or the pitch or threshold is out of range.
        """
        check_threshold(threshold)
        return _masks(self.predict_proba(image, um_per_px=um_per_px, tta=tta), threshold)

    def predict_proba(
        self, image: np.ndarray, *, um_per_px: UmPerPx | None = None, tta: bool = False
    ) -> Maps:
        """Computes the probabilities of the tasks.

        Args:
            image: as for `predict`.
            um_per_px: as for `predict`. Without it the network sees the image's own pixels, which
                should be about as large as those of its training, `pitches_um`.
            tta: as for `predict`.

        Returns:
            {"rv", "faz"}: float32 [H, W] in [0, 1]; without a task that the network was not trained
            on.

        Raises:
            UserError: as for `predict`, or the weights are damaged.
        """
        return self.compute(image, um_per_px=um_per_px, tta=tta).probability

    def compute(
        self, image: np.ndarray, *, um_per_px: UmPerPx | None = None, tta: bool = False
    ) -> Computed:
        """Computes everything that `Computed` holds; the arguments are those of `predict_proba`."""
        raise NotImplementedError


class Segmenter(Predictor):
    """A trained network that segments vessels and the FAZ in en-face OCTA images.

    `pretrained` and `load_from_checkpoint` make one:

        model = S2ANet.pretrained()
        rv, faz = model.predict(image, um_per_px=3000 / 1024)  # 3 mm, 1024 pixels

    The package exports this class as `S2ANet`; the Linen module
    of that name is `s2a_jax.models.s2anet.S2ANet`.

    Attributes:
        network: name of the network.
        fields: its hyper-parameters.
        module: the network itself, without its variables.
        variables: {"params", "batch_stats"}; {} for an exported network, whose file holds them.
        slabs: names of the slabs that it takes as channels, in order; () for a network of one slab.
        slab: what it was trained on, as in `config.data.slab`: `slabs` joined by commas, or the one
            slab; None for the data set's first, or if unknown.
        pitches_um: smallest and largest pixel pitch that it was trained on, um; None if unknown.
        tasks: those that it was trained on, of "rv" and "faz".
    """

    def __init__(
        self,
        network: str,
        fields: dict[str, Any],
        variables: dict[str, Any],
        slab: str | None = None,
        pitches_um: tuple[float, float] | None = None,
        tasks: tuple[str, ...] = TASKS,
        *,
        runtime: Runtime | None = None,
    ):
        self.network, self.fields = network, fields
        self.pitches_um, self.tasks = pitches_um, tasks
        self.module = module = build_network(network, fields)
        self.slabs: tuple[str, ...] = module.slabs
        self.slab: str | None = ",".join(self.slabs) or slab
        self._runtime = runtime
        if runtime is None:
            check_variables(module, variables, network)
            self._predict = jax.jit(functools.partial(predict_step, module=module))
        else:
            self._predict = runtime.predict
        self.variables = jax.device_put(variables)  # once, not at every call
        self._kept: tuple[dict[str, Any], BatchPredictor | Runtime] | None = None

    @classmethod
    def load_from_checkpoint(cls, path: str | Path, runtime: str | None = None) -> "Segmenter":
        """Loads a trained network.

        Args:
            path: a workdir (its best checkpoint, or the last one if its configuration chooses
                that), one of its `checkpoints/<step>`, exported weights (`.safetensors`), a name in
                `SHIPPED` unless a file or folder has that name, or an exported network (`.onnx`,
                `.stablehlo`).
            runtime: what computes an exported network, a key of `runtimes.RUNTIMES`; None for the
                first that takes the file.

        Raises:
            UserError: `path` is none of these, or is damaged.
        """
        opened = None
        if runtime is not None or is_exported(Path(path)):
            path = Path(path).expanduser()
            opened = open_exported(path, runtime)
            described, variables = opened.description, {}
        else:
            described, variables, path = read_stored(path)
        network, fields, *trained_on = described
        try:
            return cls(network, fields, variables, *trained_on, runtime=opened)
        except UserError as error:
            raise UserError(f"{path} cannot be used: {error}") from error

    @classmethod
    def pretrained(cls, name: str = "sim_to_real") -> "Segmenter":
        """Loads a network that comes with the package.

        Args:
            name: a name in `SHIPPED`. `sim_to_real` was trained on synthetic eyes of several
                devices' resolutions, for images of any device.

        Raises:
            UserError: there is no such network.
        """
        if name not in SHIPPED:
            raise UserError(
                f"No network {name!r} comes with s2a_jax; expected {', '.join(SHIPPED)}. Weights "
                "in a file or folder are loaded with load_from_checkpoint."
            )
        return cls.load_from_checkpoint(SHIPPED[name])

    @property
    def description(self) -> Description:
        """What is stored beside its weights."""
        slab = None if self.slabs else self.slab
        return Description(self.network, self.fields, slab, self.pitches_um, self.tasks)

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Exports the weights to one `.safetensors` file that `load_from_checkpoint` reads.

        Args:
            path: the file.
            half: store float16, which halves the file.

        Raises:
            UserError: the network is an exported one, or the file cannot be written.
        """
        if self._runtime is not None:
            raise UserError(
                "An exported network has no weights to save; load those that it was made of."
            )
        save_weights(Path(path), self.description, jax.device_get(self.variables), half=half)

    def predict_batch(
        self,
        images: Iterable[np.ndarray],
        *,
        um_per_px: UmPerPx | None = None,
        tta: bool = False,
        threshold: float = 0.5,
    ) -> list[Masks]:
        """Segments several images on all devices; those of one size are computed together.

        Args:
            images: as for `predict`, of any sizes.
            um_per_px: pitch of all of them, as for `predict`.
            tta: as for `predict`.
            threshold: as for `predict`.

        Returns:
            What `predict` returns of each image, in their order.

        Raises:
            UserError: as for `predict`; the message starts with the image's number, from 0.
        """
        check_threshold(threshold)
        masks: dict[int, Masks] = {}

        def read(numbered: tuple[int, np.ndarray]) -> tuple[int, Prepared]:
            number, image = numbered
            try:
                return number, self.prepare(image, um_per_px=um_per_px, tta=tta)
            except UserError as error:
                raise UserError(f"images[{number}]: {error}") from None

        def write(number: int, computed: Computed) -> None:
            masks[number] = _masks(computed.probability, threshold)

        for _ in predict_stream(self._batches(), enumerate(images), read, write, _refuse):
            pass
        return [masks[number] for number in sorted(masks)]

    def compute(
        self, image: np.ndarray, *, um_per_px: UmPerPx | None = None, tta: bool = False
    ) -> Computed:
        """Computes everything that `Computed` holds; the arguments are those of `predict_proba`."""
        prepared = self.prepare(image, um_per_px=um_per_px, tta=tta)
        if len(prepared.pieces) == 1:
            output = self._predict(self.variables, prepared.pieces[0].pixels()[None])
            prepared.add(0, {task: p[0] for task, p in jax.device_get(output).items()})
            return prepared.result()
        found: list[Computed] = []
        stream = predict_stream(
            self._batches(),
            [prepared],
            read=lambda one: (None, one),
            write=lambda _, computed: found.append(computed),
            failed=_refuse,
        )
        for _ in stream:
            pass
        return found[0]

    def prepare(
        self, image: np.ndarray, *, um_per_px: UmPerPx | None = None, tta: bool = False
    ) -> Prepared:
        """Checks an image and makes the network's inputs of it.

        An image whose pitch is known and was not trained on is resampled to a pitch that
        was (see `scale.scale_for`), an image that is larger than the memory allows is divided into
        overlapping tiles, and every input is padded by reflection to multiples of 16.

        Args:
            image: as for `predict`.
            um_per_px: as for `predict`.
            tta: as for `predict`.

        Raises:
            UserError: `image` is not such an array, or the pitch is out of range.
        """
        intensity = slabs_to_unit_float(image, self.slabs) if self.slabs else to_unit_float(image)
        scale = scale_for(intensity.shape[:2], um_per_px, self.pitches_um)
        return Prepared(intensity, scale, self.tasks, tta, self.network)

    def predictor(self, batch_size: int | None = None) -> BatchPredictor | Runtime:
        """The network for `predict_stream`, with batches of this size; see `BatchPredictor`."""
        if self._runtime is not None:
            return self._runtime._replace(batch_size=batch_size or 1)
        return BatchPredictor(self.module, self.variables, batch_size)

    def _batches(self) -> BatchPredictor | Runtime:
        """The predictor of this object's own batches, which keeps its compiled programs."""
        if self._kept is None or self._kept[0] is not self.variables:
            self._kept = self.variables, self.predictor()
        return self._kept[1]

    def fingerprint(self) -> str:
        """A hash of the network, what it was trained on, and its variables."""
        described = (self.network, self.fields, self.slabs, self.pitches_um, self.tasks)
        if self._runtime is not None:
            described += (self._runtime.name, self._runtime.digest)
        digest = blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=16)
        for name, leaf in sorted(flatten_dict(self.variables, sep="/").items()):
            digest.update(f"{name} {leaf.dtype} {leaf.shape}".encode())
            digest.update(np.ascontiguousarray(leaf))
        return digest.hexdigest()


def check_threshold(threshold: float) -> None:
    """Raises a UserError unless the threshold is in [0, 1]."""
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold={threshold} is outside [0, 1].")


def _refuse(_: Any, error: UserError) -> None:
    raise error


def _masks(probability: Maps, threshold: float) -> Masks:
    masks = masks_of(probability, threshold).masks
    return masks.get("rv"), masks.get("faz")
