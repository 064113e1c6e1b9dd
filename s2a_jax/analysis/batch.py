"""Analyses of many files: read ahead, computed in batches, written, and remembered."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from s2a_jax.analysis.analysis import Analysis, EyeFacts, analyze
from s2a_jax.analysis.dicom_seg import Algorithm, write_segmentation
from s2a_jax.analysis.html import sentences
from s2a_jax.analysis.reading import Read, read_image
from s2a_jax.console import progress
from s2a_jax.errors import UserError
from s2a_jax.files import written_whole
from s2a_jax.inference.batches import BatchPredictor
from s2a_jax.inference.ensemble import Others
from s2a_jax.inference.journal import Finished, Journal, written_states
from s2a_jax.inference.masks import noted
from s2a_jax.inference.pieces import Computed, Prepared
from s2a_jax.inference.runtimes import Runtime
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inference.stream import predict_stream
from s2a_jax.inputs.contents import Contents
from s2a_jax.inputs.image_files import ImageFiles
from s2a_jax.inputs.names import file_name_of

About = Mapping[str, tuple[Any, ...]]
"""Id of an image -> what its results depend on beside its files and the flags."""


@dataclass(frozen=True)
class Request:
    """What is computed of every image, and how.

    Attributes:
        out: folder of the results.
        threshold: smallest probability of a mask's pixels, in [0, 1].
        tta: whether to average over the symmetries.
        uncertainty: whether to draw the uncertainty.
        probabilities: whether to store the probabilities.
        dicom_seg: what segmentations of DICOM images name as their maker; None: none are written.
        batch_size: images computed together; None: as for `BatchPredictor`.
        threads: that read, and that write; None: as for `predict_stream`.
    """

    out: Path
    threshold: float = 0.5
    tta: bool = False
    uncertainty: bool = False
    probabilities: bool = False
    dicom_seg: Algorithm | None = None
    batch_size: int | None = None
    threads: int | None = None


def analyze_files(
    models: Sequence[Segmenter],
    images: Sequence[ImageFiles],
    journal: Journal,
    request: Request,
    facts: Callable[[ImageFiles, Contents], EyeFacts],
    failed: Callable[[str, UserError], None],
    about: About,
) -> dict[str, Finished]:
    """Analyses every image and writes its pictures; shows progress.

    Args:
        models: the network, or several that are averaged. Only the first computes in batches.
        images: those that are not finished yet.
        journal: gets every image that is finished; the caller holds its folder.
        request: what is computed.
        facts: files and their contents -> what is known about the eye.
        failed: called with the id of an image that cannot be used, and the reason.
        about: what results depend on beside files and flags.

    Returns:
        Id -> what was finished now.

    Raises:
        UserError: results cannot be written, or the weights are damaged.
    """
    model, *others = models
    rest, done = Others(others), dict[str, Finished]()

    def read(files: ImageFiles) -> tuple[Read, Prepared]:
        return read_image(
            files,
            model,
            lambda contents: facts(files, contents),
            tta=request.tta,
            about=about.get(files.id, ()),
            dicom_seg=request.dicom_seg is not None,
        )

    def write(one: Read, computed: Computed) -> None:
        pitch = one.eye.um_per_px
        computed = rest.joined(computed, one.image, um_per_px=pitch, tta=request.tta)
        analysis = analyze(
            one.picture,
            computed,
            one.eye,
            threshold=request.threshold,
            trained_um=model.pitches_um,
            notes=tuple(note.sentence for note in one.changes),
        )
        paths = write_files(analysis, one.files.id, request)
        if request.dicom_seg:
            paths += write_segmentation(request.out, one, analysis.masks, request.dicom_seg)
        written = written_states(paths)
        row = {name: _plain(value) for name, value in analysis.row().items()}
        stored = {"row": row, "sentences": list(sentences(analysis))}
        notes = one.notes + noted(one.files.image, analysis.faz_left_out)
        finished = Finished(one.files.id, one.states, written, stored, notes)
        journal.add(finished)
        done[one.files.id] = finished

    predictor = model.predictor(request.batch_size)
    stream_files("Analyzing", predictor, images, read, write, failed, request.threads)
    return done


def stream_files(
    title: str,
    predictor: BatchPredictor | Runtime,
    images: Sequence[ImageFiles],
    read: Callable[[ImageFiles], tuple[Read, Prepared]],
    write: Callable[[Read, Computed], None],
    failed: Callable[[str, UserError], None],
    threads: int | None,
) -> None:
    """Predicts every image with a bar of progress; see `predict_stream`.

    Args:
        title: of the bar.
        predictor: the network.
        images: the images.
        read: reads one of them.
        write: writes its results.
        failed: called with the id of an image that `read` refuses, and the reason.
        threads: that read, and that write.
    """
    with progress(title, len(images)) as advance:

        def left_out(files: ImageFiles, error: UserError) -> None:
            failed(files.id, error)
            advance(1)

        stream = predict_stream(predictor, images, read, write, left_out, threads)
        with contextlib.closing(stream):
            for count in stream:
                advance(count)


def write_files(analysis: Analysis, id_: str, request: Request) -> list[Path]:
    """Writes the files of one image; returns their paths.

    <id>_rv.png and <id>_faz.png are masks (0/255), <id>_overlay.png and <id>_uncertainty.png
    pictures, <id>_probability.npz has an array float16 [H, W] for each task, and with several
    networks or symmetries also its spread, <task>_spread.

    Raises:
        UserError: a file cannot be written.
    """
    pictures = {task: mask * np.uint8(255) for task, mask in analysis.masks.items()}
    pictures["overlay"] = analysis.overlay()
    if request.uncertainty:
        pictures["uncertainty"] = analysis.uncertainty_picture()
    paths = []
    for kind, pixels in pictures.items():
        paths.append(request.out / f"{file_name_of(id_)}_{kind}.png")
        write_png(paths[-1], pixels)
    if request.probabilities:
        paths.append(request.out / f"{file_name_of(id_)}_probability.npz")
        with written_whole(paths[-1]) as partial:
            halves = {task: p.astype(np.float16) for task, p in analysis.probability.items()}
            for task, spread in (analysis.spread or {}).items():
                halves[f"{task}_spread"] = spread.astype(np.float16)
            np.savez_compressed(partial, allow_pickle=False, **halves)
    return paths


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Writes uint8 pixels [H, W] or [H, W, 3]; the file appears when it is complete."""
    with written_whole(path) as partial:
        # The default level takes four times as long, and overlays become larger.
        Image.fromarray(pixels).save(partial, "PNG", compress_level=1)


def _plain(value: str | float) -> str | float | None:
    """A cell as JSON has it: None for NaN."""
    if isinstance(value, str):
        return value
    return None if np.isnan(value) else float(value)
