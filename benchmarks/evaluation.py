"""What an evaluation costs beside the forward passes that it needs.

    python -m benchmarks.evaluation [--images 100] [--size 400] [--variant small]

An untrained network predicts every image, but what is scored are masks like those of a trained one:
the probability of a synthetic eye's labels, blurred, shifted and noisy. Prints the time of the
forward passes alone, of the whole evaluation with every metric, file and picture, their ratio, and
where the time of one image goes, one function after the other on one thread.
"""

import argparse
import cProfile
import itertools
import pstats
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.evaluation import scoring
from s2a_jax.evaluation.protocols import PROTOCOLS
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.results import Subject, write_results
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.models.build import build_network, network_fields

_EYES = 12  # different ones; images beyond them repeat their anatomy with noise of their own


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--variant", default="small")
    options = parser.parse_args()
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

    start, start_cpu = time.perf_counter(), time.process_time()
    for case in cases:
        model.predict_proba(case.image)
    forward = time.perf_counter() - start
    forward_cpu = time.process_time() - start_cpu
    start, start_cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        scores = scoring.score_cases(_predicted(model, cases), len(cases), settings)
        scored = time.perf_counter() - start
        write_results(scores, Subject("test", "s2anet", fields), Path(folder))
    whole, whole_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    n = options.images
    print(f"forward passes     {forward:7.2f} s   {1e3 * forward / n:6.1f} ms an image")
    print(f"whole evaluation   {whole:7.2f} s   {1e3 * whole / n:6.1f} ms an image")
    print(f"  of it the files  {whole - scored:7.2f} s   (table, CSV, JSON, curves, pictures)")
    print(
        f"ratio              {whole / forward:7.2f}     of CPU time {whole_cpu / forward_cpu:.2f}"
    )
    _profile(cases, settings)


def _eye(size: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    eye = synthesize_eye((0, 0, number), EyeParameters(size=size, field_mm=6.0))
    return eye.image, eye.rv, eye.faz


def _cases(eyes: list, images: int) -> Iterator[scoring.Prediction]:
    rng = np.random.default_rng(0)
    for number, (image, rv, faz) in zip(range(images), itertools.cycle(eyes), strict=False):
        probability = {}
        for task, mask in (("rv", rv), ("faz", faz)):
            soft = ndimage.shift(ndimage.gaussian_filter(mask.astype(float), 1), (1, 0.5), order=1)
            # Smooth noise makes gaps and false vessels, fine noise ragged edges.
            smooth = 8 * ndimage.gaussian_filter(rng.normal(size=mask.shape), 3)
            logit = 12 * soft - 5 + 2 * smooth + 0.5 * rng.normal(size=mask.shape)
            probability[task] = (1 / (1 + np.exp(-logit))).astype(np.float32)
        yield scoring.Prediction(
            f"eye{number:03d}", image, {"rv": rv, "faz": faz}, probability, um_per_px=15.0
        )


def _predicted(
    model: Segmenter, cases: list[scoring.Prediction]
) -> Iterator[scoring.Prediction]:  # fmt: skip
    for case in cases:
        model.predict_proba(case.image)
        yield case


def _profile(cases: list[scoring.Prediction], settings: scoring.Settings) -> None:
    few = cases[:_EYES]
    profile = cProfile.Profile()
    profile.enable()
    for case in few:
        scoring.score_case(case, settings)
    profile.disable()
    rows = {
        name: seconds
        for (file, _, name), (_, _, _, seconds, _) in pstats.Stats(profile).stats.items()
        if "s2a_jax" in file and not name.startswith("<")
    }
    print("\nms an image, on one thread (a function's time includes what it calls)")
    for name, seconds in sorted(rows.items(), key=lambda row: -row[1]):
        if seconds > 1e-4 * len(few):
            print(f"  {name:22s} {1e3 * seconds / len(few):7.1f}")


if __name__ == "__main__":
    main()
