"""Time of an evaluation relative to its forward passes.

    python -m benchmarks.evaluation [--images 100] [--size 400] [--variant small]

An untrained network predicts each image, but the scored probabilities resemble a trained network's:
the labels of a synthetic eye, blurred, shifted and noisy. Prints the time of the forward passes
alone and of whole evaluations (forward passes, all metrics, files, pictures) without and with the
biomarkers of predicted and true masks, their ratios to the forward passes, and the CPU time of each
part.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from benchmarks.command_line import parser, positive, several
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.evaluation import scoring
from s2a_jax.evaluation.biomarker_agreement import measure_both
from s2a_jax.evaluation.curves import Histogram, roc_auc
from s2a_jax.evaluation.geometry import betti0_error, cl_dice, surface_distances
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.results import Subject, write_results
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.fovea import central_piece
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.signals import leave, run_program

_EYES = 12  # further images repeat their anatomy with other noise


def main() -> None:
    """Measure, and print all times."""
    flags = parser("benchmarks.evaluation", __doc__)
    flags.add_argument("--images", type=several, default=100, help="number of images; default 100")
    flags.add_argument("--size", type=positive, default=400, help="side in pixels; default 400")
    flags.add_argument("--variant", default="small", help="variant of S2A-Net; default small")
    options = flags.parse_args()
    fields = network_fields(
        {"name": "s2anet", "variant": options.variant, "dtype": "float32"}, options.size
    )
    module = build_network("s2anet", fields)
    init = jax.jit(lambda key: module.init(key, jnp.zeros((1, 64, 64, 1)), train=False))
    model = Segmenter("s2anet", fields, jax.device_get(init(jax.random.key(0))))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        eyes = list(pool.map(partial(_eye, options.size), range(min(_EYES, options.images))))
    settings = scoring.Settings(PROTOCOLS["native"], Window(120, "px"), postprocess=True)
    cases = list(_cases(eyes, options.images))
    model.predict_proba(cases[0].image)  # compiles
    scoring.score_cases(cases[:1], 1, settings)

    forward = _timed(lambda: [model.predict_proba(case.image) for case in cases])
    _print("forward passes", forward, forward, len(cases))
    bare = [replace(case, um_per_px=None) for case in cases]
    for name, chosen in (("metrics, files", bare), ("and biomarkers", cases)):
        taken = _timed(lambda chosen=chosen: _evaluate(model, chosen, settings, fields))
        _print(name, taken, forward, len(cases))
    print("\nms of CPU per image, on one thread")
    for name, part in _parts(settings).items():
        few = cases[:_EYES]
        _, cpu = _timed(lambda part=part, few=few: [part(case) for case in few])
        print(f"  {name:22s} {1e3 * cpu / len(few):7.1f}")


def _timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU on all cores, which other programs affect less."""
    start, start_cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - start_cpu


def _print(name: str, taken: tuple, forward: tuple, images: int) -> None:
    clock, cpu = (1e3 * seconds / images for seconds in taken)
    ratio, ratio_cpu = (ours / theirs for ours, theirs in zip(taken, forward, strict=True))
    print(
        f"{name:15s} {clock:7.1f} ms per image, ratio {ratio:.2f}   {cpu:7.1f} ms of CPU, "
        f"ratio {ratio_cpu:.2f}"
    )


def _evaluate(model: Segmenter, cases: list, settings: scoring.Settings, fields: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scores = scoring.score_cases(_predicted(model, cases), len(cases), settings)
        write_results(scores, Subject("test", "s2anet", fields), Path(folder))


def _eye(size: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    eye = synthesize_eye((0, 0, number), EyeParameters(size=size, field_mm=6.0))
    return eye.image, eye.rv, eye.faz


def _cases(eyes: list, images: int) -> Iterator[scoring.Prediction]:
    rng = np.random.default_rng(0)
    for number, (image, rv, faz) in zip(range(images), itertools.cycle(eyes), strict=False):
        probability = {}
        for task, mask in (("rv", rv), ("faz", faz)):
            soft = ndimage.shift(ndimage.gaussian_filter(mask.astype(float), 1), (1, 0.5), order=1)
            # Smooth noise makes gaps and false vessels; fine noise makes ragged edges.
            smooth = 8 * ndimage.gaussian_filter(rng.normal(size=mask.shape), 3)
            logit = 12 * soft - 5 + 2 * smooth + 0.5 * rng.normal(size=mask.shape)
            probability[task] = (1 / (1 + np.exp(-logit))).astype(np.float32)
        yield scoring.Prediction(
            f"eye{number:03d}", image, {"rv": rv, "faz": faz}, probability, um_per_px=15.0
        )


def _predicted(model: Segmenter, cases: list) -> Iterator[scoring.Prediction]:
    for case in cases:
        model.predict_proba(case.image)
        yield case


def _parts(settings: scoring.Settings) -> dict[str, Callable[[scoring.Prediction], Any]]:
    """Display name -> a part of `score_case`."""

    def masks(case: scoring.Prediction) -> dict[str, np.ndarray]:
        return {task: case.probability[task] >= 0.5 for task in case.truth}

    def both(function: Callable, case: scoring.Prediction) -> list:
        return [function(mask, case.truth[task]) for task, mask in masks(case).items()]

    return {
        "HD95, ASSD": lambda case: both(surface_distances, case),
        "clDice": lambda case: cl_dice(masks(case)["rv"], case.truth["rv"]),
        "betti-0 error": lambda case: both(betti0_error, case),
        "ROC AUC": lambda case: [roc_auc(case.probability[t], case.truth[t]) for t in case.truth],
        "curves": lambda case: [
            Histogram.count(case.probability[t], case.truth[t]) for t in case.truth
        ],
        "post-processing": lambda case: central_piece(masks(case)["faz"]),
        "all but biomarkers": lambda case: scoring.score_case(
            replace(case, um_per_px=None), settings
        ),
        "biomarkers": lambda case: measure_both(masks(case), case.truth, 15.0),
    }


if __name__ == "__main__":
    leave(run_program(main))
