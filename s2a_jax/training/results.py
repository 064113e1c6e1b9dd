"""What a run leaves for people: evaluations of its best network, pictures, exported weights."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from s2a_jax.convert.weights import save_weights
from s2a_jax.data.cases import CaseSet, resize_set
from s2a_jax.data.pipeline import evaluation_batches, record
from s2a_jax.evaluation.counts import TASKS
from s2a_jax.evaluation.metrics import confusion, scores
from s2a_jax.evaluation.pictures import save_comparison
from s2a_jax.evaluation.protocols import Protocol, find_protocol
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.results import Subject, write_results
from s2a_jax.evaluation.scoring import Prediction, Settings, score_cases
from s2a_jax.inputs.pitch import UM_PER_PX, check_range, resized_pitch, stretched_notes
from s2a_jax.inputs.slabs import first_slab
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.setup import Setup
from s2a_jax.training.sharding import put_batch


def draw_overlays(
    setup: Setup, variables: Any, cases: CaseSet, folder: Path, number: int, threshold: float
) -> None:
    """Writes a comparison of truth and prediction for a few cases, evenly spread over the set.

    Cases with masks for both tasks come first, since they show more. Of several slabs the first is
    drawn, and the caption names it and the threshold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = min(number, len(cases))
    complete = np.flatnonzero(cases.has_rv & cases.has_faz)
    others = np.setdiff1d(np.arange(len(cases)), complete)
    pool = np.concatenate([complete, others])[: max(number, min(len(complete), len(cases)))]
    chosen = pool[np.linspace(0, len(pool) - 1, number).round().astype(int)] if number else []
    for index in chosen:
        case = record(cases, int(index))
        probability = jax.device_get(setup.predict(variables, case["image"][None]))
        predicted = {task: probability[task][0] >= threshold for task in TASKS}
        truth = {task: case[task] > 0 if case[f"has_{task}"] else None for task in TASKS}
        image = first_slab(case["image"])
        intensity = image / 255.0 if image.dtype == np.uint8 else image
        name, slabs = cases.ids[index], setup.dataset.slabs
        caption = f"{name}   {f'slab {slabs[0]}   ' if slabs else ''}threshold {threshold:g}   "
        caption += "   ".join(
            f"{task.upper()} Dice {scores(confusion(predicted[task], truth[task]))['dice']:.3f}"
            for task in TASKS
            if truth[task] is not None
        )
        save_comparison(folder / f"{name}.png", intensity, truth, predicted, caption)


def settings_of(config: Any) -> Settings:
    """How the evaluation section of a configuration wants to evaluate.

    Args:
        config: the `eval` section.

    Raises:
        UserError: an unknown protocol, or a threshold, window or pitch that cannot be.
    """
    check_range("config.eval.um_per_px", config.um_per_px, UM_PER_PX, "um")
    return Settings(
        find_protocol(config.protocol, config.threshold, "config.eval."),
        Window.parse(config.window, "config.eval.window"),
        config.postprocess,
    )


def write_run_results(
    config: Any, setup: Setup, checkpoints: Checkpoints, workdir: Workdir, console: Console
) -> None:
    """Evaluates the best checkpoint on validation and test cases and writes everything.

    Prints a table for each split; writes results/, overlays/ and weights.safetensors.

    Args:
        config: a resolved configuration.
        setup: the run's parts.
        checkpoints: of which the best is taken.
        workdir: where everything goes.
        console: for the tables.

    Raises:
        UserError: as `settings_of`, or a window in micrometres without a pixel pitch.
    """
    settings = settings_of(config.eval)
    step, score = checkpoints.best
    variables = checkpoints.restore(step, setup.abstract).variables()
    text = Console(file=io.StringIO(), width=110)
    console.print(f"Best on validation: step {step}, sum of mean Dice {score:.4f}.")
    for split, cases in (("val", setup.dataset.val), ("test", setup.dataset.test)):
        if not len(cases):
            console.print(f"No {split} cases to evaluate.")
            continue
        notes = resizing_notes(cases, setup.dataset.size, settings.protocol)
        predictions = _predictions(config, setup, variables, cases, settings)
        result = score_cases(predictions, len(cases), settings)
        subject = Subject(split, setup.network, setup.fields, step, notes)
        tables = write_results(result, subject, workdir.results)
        console.print(tables)
        text.print(tables)
    (workdir.results / "table.txt").write_text(text.file.getvalue())
    draw_overlays(
        setup,
        variables,
        setup.dataset.val,
        workdir.overlays,
        config.eval.overlays,
        config.eval.threshold,
    )
    save_weights(
        workdir.weights,
        setup.network,
        setup.fields,
        jax.device_get(variables),
        slab=setup.dataset.slab,
    )
    console.print(
        f"Tables, CSV, JSON, curves, best and worst cases: {workdir.results}\n"
        f"Pictures: {workdir.overlays}\nWeights: {workdir.weights}"
    )


def resizing_notes(cases: CaseSet, size: int, protocol: Protocol) -> tuple[str, ...]:
    """What to say below a table about cases that were read at another size than their files'."""
    resized = int((cases.native_sizes != size).any(axis=1).sum())
    stretched = stretched_notes(cases.native_sizes, protocol.side or size)
    if not resized:
        return stretched
    note = f"{resized} images were resized to {size} px, as in training."
    if protocol.side not in (None, size):
        note += (
            f" They and their masks were then resized again, to {protocol.side} px, where the "
            f"protocol {protocol.name} has one step; python -m s2a_jax evaluate takes one."
        )
    return (note, *stretched)


def _predictions(
    config: Any, setup: Setup, variables: Any, cases: CaseSet, settings: Settings
) -> Iterator[Prediction]:
    """The network's probabilities of every case, at the protocol's resolution."""
    if settings.protocol.side is not None:
        cases = resize_set(cases, settings.protocol.side)
    side = cases.images.shape[1]
    batches = evaluation_batches(
        cases, setup.eval_batch_size, jax.process_index(), jax.process_count()
    )
    for part, batch in batches:
        images = put_batch({"image": batch["image"]}, setup.mesh)["image"]
        probability = jax.device_get(setup.predict_batch(variables, images))
        for row, index in enumerate(range(part.start, part.stop)):
            case = record(cases, index)
            native = cases.native_sizes[index]
            pitch = config.eval.um_per_px or setup.dataset.pitch(cases.ids[index], native)
            yield Prediction(
                cases.ids[index],
                first_slab(case["image"]),
                {task: case[task] > 0 if case[f"has_{task}"] else None for task in TASKS},
                {task: probability[task][row] for task in TASKS},
                resized_pitch(pitch, native, (side, side)),
            )
