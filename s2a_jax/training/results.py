"""What a run leaves for people: tables, one CSV row for each image, pictures, exported weights."""

import io
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from s2a_jax.convert.weights import save_weights
from s2a_jax.data.cases import CaseSet
from s2a_jax.data.pipeline import record
from s2a_jax.data.slabs import first_slab
from s2a_jax.evaluation.evaluate import TASKS, result_table, write_csv
from s2a_jax.evaluation.metrics import scores
from s2a_jax.evaluation.pictures import save_comparison
from s2a_jax.training.checkpoint import Checkpoints
from s2a_jax.training.setup import Setup
from s2a_jax.training.workdir import Workdir


def draw_overlays(
    setup: Setup, variables: Any, cases: CaseSet, folder: Path, number: int, threshold: float
) -> None:
    """Writes a comparison of truth and prediction for a few cases, evenly spread over the set.

    Cases with masks for both tasks come first, since they show more. Of several slabs the first is
    drawn, and the caption names it.
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
        caption = f"{name}   {f'slab {slabs[0]}   ' if slabs else ''}" + "   ".join(
            f"{task.upper()} Dice {_dice(predicted[task], truth[task]):.3f}"
            for task in TASKS
            if truth[task] is not None
        )
        save_comparison(folder / f"{name}.png", intensity, truth, predicted, caption)


def _dice(predicted: np.ndarray, truth: np.ndarray) -> float:
    counts = {
        "tp": (predicted & truth).sum(),
        "fp": (predicted & ~truth).sum(),
        "fn": (~predicted & truth).sum(),
        "tn": (~predicted & ~truth).sum(),
    }
    return float(scores(counts)["dice"])


def write_results(
    setup: Setup,
    checkpoints: Checkpoints,
    workdir: Workdir,
    console: Console,
    overlays: int,
    threshold: float,
) -> None:
    """Evaluates the best checkpoint on validation and test cases and writes everything.

    Prints a table for each split; writes results/<split>.csv, results/table.txt, overlays/ and
    weights.safetensors.
    """
    step, score = checkpoints.best
    state = checkpoints.restore(step, setup.abstract)
    variables = state.variables()
    workdir.results.mkdir(parents=True, exist_ok=True)
    text = Console(file=io.StringIO(), width=110)
    console.print(f"Best on validation: step {step}, sum of mean Dice {score:.4f}.")
    for split, cases in (("val", setup.dataset.val), ("test", setup.dataset.test)):
        if not len(cases):
            console.print(f"No {split} cases to evaluate.")
            continue
        evaluation = setup.evaluate(variables, cases)
        write_csv(evaluation, workdir.results / f"{split}.csv")
        table = result_table(evaluation, f"{split}: step {step}, threshold {threshold}")
        console.print(table)
        text.print(table)
    (workdir.results / "table.txt").write_text(text.file.getvalue())
    draw_overlays(setup, variables, setup.dataset.val, workdir.overlays, overlays, threshold)
    save_weights(workdir.weights, setup.network, setup.fields, jax.device_get(variables))
    console.print(
        f"Tables and CSV: {workdir.results}\nPictures: {workdir.overlays}\n"
        f"Weights: {workdir.weights}"
    )
