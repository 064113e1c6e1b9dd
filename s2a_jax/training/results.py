"""What a run leaves behind: evaluations of the network it chooses, pictures, exported weights."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from s2a_jax import processes
from s2a_jax.console import make_console
from s2a_jax.convert.weights import save_weights
from s2a_jax.data.cases import Cases
from s2a_jax.data.entry import Pitch
from s2a_jax.data.pipeline import evaluation_batches, own_cases, record
from s2a_jax.data.rows import resize_cases
from s2a_jax.errors import UserError
from s2a_jax.evaluation.counts import TASKS
from s2a_jax.evaluation.metrics import confusion, scores
from s2a_jax.evaluation.pictures import save_comparison
from s2a_jax.evaluation.protocols import Protocol, find_protocol
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.results import Subject, write_results
from s2a_jax.evaluation.scoring import Prediction, Scores, Settings
from s2a_jax.evaluation.shared import score_shared
from s2a_jax.files import written_whole
from s2a_jax.inputs.images import unit_pixels
from s2a_jax.inputs.names import counted, file_name_of
from s2a_jax.inputs.pitch import UM_PER_PX, check_range, resized_pitch, stretched_notes
from s2a_jax.inputs.slabs import first_slab
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.checkpoint import CHOICES, Checkpoints
from s2a_jax.training.evaluator import Evaluator
from s2a_jax.training.setup import Setup
from s2a_jax.training.sharding import gather, own_rows, put_batch


def draw_overlays(
    evaluator: Evaluator,
    variables: Any,
    cases: Cases,
    folder: Path,
    *,
    number: int,
    threshold: float,
) -> None:
    """Draws truth and prediction of a few cases, evenly spread over the set.

    Cases with masks for both tasks come first, since they show more. If a case has several slabs,
    the first one is drawn and the caption names it.

    Args:
        evaluator: the network.
        variables: its variables.
        cases: the set to choose from.
        folder: where the PNG files go, one a case.
        number: how many cases to draw, at most.
        threshold: probability from which a pixel belongs to a mask.
    """
    if processes.is_first():
        folder.mkdir(parents=True, exist_ok=True)
    number = min(number, len(cases))
    complete = np.flatnonzero(cases.has_rv & cases.has_faz)
    others = np.setdiff1d(np.arange(len(cases)), complete)
    pool = np.concatenate([complete, others])[: max(number, min(len(complete), len(cases)))]
    chosen = pool[np.linspace(0, len(pool) - 1, number).round().astype(int)] if number else []
    for index in chosen:
        with processes.together():
            case = record(cases, int(index))
        probability = jax.device_get(evaluator.predict(variables, case["image"][None]))
        if not processes.is_first():
            continue
        tasks = evaluator.description.tasks
        predicted = {task: probability[task][0] >= threshold for task in tasks}
        truth = {
            task: case[task] > 0 if case[f"has_{task}"] and task in tasks else None
            for task in TASKS
        }
        intensity = unit_pixels(first_slab(case["image"]))
        name, slabs = cases.ids[index], evaluator.slabs
        caption = f"{name}   {f'slab {slabs[0]}   ' if slabs else ''}threshold {threshold:g}   "
        caption += "   ".join(
            f"{task.upper()} Dice {scores(confusion(predicted[task], truth[task]))['dice']:.3f}"
            for task in TASKS
            if truth[task] is not None
        )
        save_comparison(folder / f"{file_name_of(name)}.png", intensity, truth, predicted, caption)


def evaluation_settings(config: Any) -> Settings:
    """Checks the evaluation section of a configuration, and turns it into settings.

    Args:
        config: the `eval` section.

    Raises:
        UserError: an unknown protocol or choice, or a threshold, window or pitch out of its range.
    """
    if config.choose not in CHOICES:
        raise UserError(f"config.eval.choose={config.choose!r}: expected {' or '.join(CHOICES)}.")
    check_range("config.eval.um_per_px", config.um_per_px, UM_PER_PX, "um")
    return Settings(
        find_protocol(config.protocol, config.threshold, "config.eval."),
        Window.parse(config.window, "config.eval.window"),
        config.postprocess,
    )


def write_run_results(
    config: Any, setup: Setup, checkpoints: Checkpoints, workdir: Workdir, console: Console
) -> None:
    """Evaluates the best or the last checkpoint on validation and test cases, writes everything.

    Prints a table for each split; writes results/, overlays/ and weights.safetensors.

    Args:
        config: the `eval` section of a resolved configuration.
        setup: the run's parts.
        checkpoints: at least one; at least one validated one if the best is chosen.
        workdir: the folder of the run.
        console: for the tables.

    Raises:
        UserError: `evaluation_settings` refuses the section, a window is in micrometres and a case
            has no pixel pitch, or every validated checkpoint is damaged.
    """
    settings = evaluation_settings(config)
    dataset, evaluator = setup.dataset, setup.evaluator
    description = evaluator.description
    checkpoints.set_damaged_aside()  # one may be old
    step, best = checkpoints.chosen(config.choose), checkpoints.best
    if best is None and config.choose == "best":
        raise UserError(f"{checkpoints.folder} has no validated checkpoint left: train on.")
    variables = checkpoints.restore(step, setup.training.abstract).variables()
    text = make_console(file=io.StringIO(), width=110)
    if config.choose == "last":
        console.print(f"Last checkpoint: step {step}, as config.eval.choose=last says.")
    else:
        console.print(f"Best on validation: step {step}, mean Dice over all masks {best[1]:.4f}.")

    def pitch(name: str, native_size: tuple[int, int]) -> float | None:
        return config.um_per_px or dataset.pitch(name, native_size)

    for split, cases in (("val", dataset.val), ("test", dataset.test)):
        if not len(cases):
            console.print(f"No {split} cases to evaluate.")
            continue
        notes = resizing_notes(cases, dataset.size, settings.protocol)
        result = score_set(evaluator, variables, cases, settings, pitch)
        if not processes.is_first():
            continue
        tables = write_results(
            result,
            Subject(split, description.network, description.fields, step, notes),
            workdir.results,
        )
        console.print(tables)
        text.print(tables)
    if processes.is_first():
        with written_whole(workdir.results / "table.txt") as partial:
            partial.write_text(text.file.getvalue(), encoding="utf-8")
    draw_overlays(
        evaluator,
        variables,
        dataset.val,
        workdir.overlays,
        number=config.overlays,
        threshold=config.threshold,
    )
    whole = gather(variables, evaluator.mesh)
    if processes.is_first():
        save_weights(workdir.weights, description, whole)
    console.print(
        f"Tables, CSV, JSON, curves, best and worst cases: {workdir.results}\n"
        f"Pictures: {workdir.overlays}\nWeights: {workdir.weights}"
    )


def score_set(
    evaluator: Evaluator, variables: Any, cases: Cases, settings: Settings, pitch: Pitch
) -> Scores:
    """Scores every case once; each process scores those that it predicts.

    Args:
        evaluator: the network.
        variables: its variables.
        cases: all cases.
        settings: settings of the evaluation.
        pitch: side in um of a pixel of a case's file, from its name and native size.

    Returns:
        The same on every process.

    Raises:
        UserError: as `score_cases`.
    """
    total, batch = len(cases), evaluator.batch_size
    parts = (slice(first, min(first + batch, total)) for first in range(0, total, batch))
    own = [i for part in parts for i in own_cases(part, batch, *_which())]
    predictions = _predictions(evaluator, variables, cases, settings.protocol, pitch)
    return score_shared(predictions, own, cases.ids, settings, processes.exchanged)


def _which() -> tuple[int, int]:
    return processes.index(), processes.count()


def resizing_notes(cases: Cases, size: int, protocol: Protocol) -> tuple[str, ...]:
    """Sentences for below a table about cases that were not read at the size of their files.

    Args:
        cases: the evaluated cases.
        size: side in pixels at which they were read.
        protocol: may resize them again.
    """
    resized = int((cases.native_sizes != size).any(axis=1).sum())
    stretched = stretched_notes(cases.native_sizes, protocol.side or size)
    if not resized:
        return stretched
    images = counted(resized, "image was", "images were")
    note = f"{images} resized to {size} px, as in training."
    if protocol.side not in (None, size):
        note += (
            f" They and their masks were then resized again, to {protocol.side} px, where the "
            f"protocol {protocol.name} has one step; python -m s2a_jax evaluate takes one."
        )
    return (note, *stretched)


def _predictions(
    evaluator: Evaluator,
    variables: Any,
    cases: Cases,
    protocol: Protocol,
    pitch: Pitch,
) -> Iterator[Prediction]:
    """The network's probabilities of this process's cases, at the protocol's resolution.

    Args:
        evaluator: the network.
        variables: its variables.
        cases: all cases; the processes share them.
        protocol: may resize them.
        pitch: side in um of a pixel of a case's file, from its name and native size.
    """
    side = protocol.side or cases.image_shape[0]
    if side != cases.image_shape[0]:
        cases = resize_cases(cases, side)
    which = (evaluator.batch_size, *_which())
    for part, batch in processes.read_together(evaluation_batches(cases, *which)):
        images = put_batch({"image": batch["image"]}, evaluator.mesh)["image"]
        predicted = evaluator.predict_batch(variables, images)
        tasks = evaluator.description.tasks
        probability = {task: own_rows(predicted[task]) for task in tasks}
        for row, index in enumerate(own_cases(part, *which)):
            native = cases.native_sizes[index]
            yield Prediction(
                cases.ids[index],
                first_slab(batch["image"][row]),
                {
                    task: batch[task][row] > 0 if batch[f"has_{task}"][row] else None
                    for task in TASKS
                },
                {task: values[row] for task, values in probability.items()},
                resized_pitch(pitch(cases.ids[index], native), native, (side, side)),
            )
