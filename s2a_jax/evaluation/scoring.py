"""Every metric of every case, from probabilities and true masks.

While the main thread predicts, one thread a core scores earlier cases: the device counts pixels,
the host computes areas under curves, distances, centre lines and components.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from rich.progress import track

from s2a_jax.console import make_console
from s2a_jax.errors import UserError
from s2a_jax.evaluation.biomarker_agreement import Pairs, agreement, measure_both
from s2a_jax.evaluation.counts import TASKS, count_pixels
from s2a_jax.evaluation.curves import Histogram, Pool, roc_auc
from s2a_jax.evaluation.geometry import assd, betti0_error, cl_dice, hd95, surface_distances
from s2a_jax.evaluation.labels import METRIC_LABELS
from s2a_jax.evaluation.metrics import scores
from s2a_jax.evaluation.protocols import Protocol
from s2a_jax.evaluation.regions import Window, window_around
from s2a_jax.inputs.fovea import central_piece
from s2a_jax.machine import cores

FAZ_POST = "faz_post"
"""Task of post-processed FAZ masks, which are scored beside the raw ones."""

_count_pixels = jax.jit(count_pixels)
_SHOWN = 3  # number of best cases, and of worst cases, to draw


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation.

    Attributes:
        protocol: resolution and threshold; the caller resizes.
        window: perivascular region of the FAZ.
        postprocess: whether to score FAZ masks after `central_piece`, too.
    """

    protocol: Protocol
    window: Window
    postprocess: bool = False


@dataclass(frozen=True, eq=False)
class Prediction:
    """One case at the protocol's resolution.

    Attributes:
        id: name of the case.
        image: [H, W], uint8 or float32 in [0, 1]; only drawn.
        truth: "rv", "faz" -> bool [H, W], or None where the case has no such mask.
        probability: "rv", "faz" -> float32 [H, W] in [0, 1]; a task that is absent, since the
            network was not trained on it, is not scored.
        um_per_px: pixel pitch, um; None where it is unknown or the pixels are not square.
    """

    id: str
    image: np.ndarray
    truth: dict[str, np.ndarray | None]
    probability: dict[str, np.ndarray]
    um_per_px: float | None = None


@dataclass(frozen=True, eq=False)
class Shown:
    """A case to draw.

    Attributes:
        position: its place among all cases.
        id: its name.
        score: its mean Dice over the tasks.
        image: [H, W], uint8 or float32 in [0, 1].
        truth: "rv", "faz" -> bool [H, W], or None where the case has no such mask.
        masks: "rv", "faz" -> predicted mask, bool [H, W]; absent as in `Prediction.probability`.
    """

    position: int
    id: str
    score: float
    image: np.ndarray
    truth: dict[str, np.ndarray | None]
    masks: dict[str, np.ndarray]


@dataclass(eq=False)
class Scores:
    """All numbers of N cases.

    Attributes:
        settings: settings the numbers depend on.
        ids: names of the cases.
        values: task (`rv`, `faz`, `faz_post`) -> metric -> float64 [N], NaN where a case lacks what
            the metric needs; a task or metric that no case has is absent. docs/evaluation.md
            defines every metric with its unit and range.
        pooled: task -> metric -> the metric of all cases' pixels together.
        curves: task -> `Pool.curves` of all cases' pixels together.
        um_per_px: pixel pitch, um; None where it is unknown or differs between cases.
        biomarkers: result of `agreement`; empty where no case's pitch is known.
        shown: cases with a mask sorted from best to worst; all but the first and last three may be
            missing.
    """

    settings: Settings
    ids: list[str] = field(default_factory=list)
    values: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    pooled: dict[str, dict[str, float]] = field(default_factory=dict)
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    um_per_px: float | None = None
    biomarkers: dict[str, dict[str, Any]] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)

    def best(self) -> list[Shown]:
        """Up to three cases, the best first."""
        return self.shown[: min(_SHOWN, (len(self.shown) + 1) // 2)]

    def worst(self) -> list[Shown]:
        """Up to three cases that are not among the best, the worst first."""
        return self.shown[::-1][: min(_SHOWN, len(self.shown) // 2)]


@dataclass(eq=False)
class Row:
    """Numbers of one case.

    Attributes:
        id: name of the case.
        um_per_px: pixel pitch, um; None where it is unknown.
        masks: task -> predicted mask, bool [H, W].
        counts: task with a true mask -> `tp`, `fp`, `fn`, `tn` in pixels.
        region: the same inside the FAZ's perivascular region; empty where there is none.
        values: task -> metric -> value; NaN or absent where it is undefined.
        histograms: task -> histogram of the pixels over their probability.
        biomarkers: result of `measure_both`; empty where the pixel pitch is unknown.
        position: its place among all cases.
    """

    id: str
    um_per_px: float | None
    masks: dict[str, np.ndarray]
    counts: dict[str, dict[str, int]]
    region: dict[str, dict[str, int]]
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    biomarkers: Pairs = field(default_factory=dict)
    position: int = 0

    @property
    def score(self) -> float:
        """Mean Dice over the tasks; NaN for a case without masks."""
        dice = [self.values[task]["dice"] for task in TASKS if task in self.values]
        return float(np.mean(dice)) if dice else np.nan


@dataclass(eq=False)
class Scored:
    """Numbers of the cases that one process scores.

    Attributes:
        rows: one a case; their histograms have no pixels any more, only the calibration.
        pools: task -> pixels of all cases' histograms, without the calibration.
        shown: as `Scores.shown`.
    """

    rows: list[Row] = field(default_factory=list)
    pools: dict[str, Pool] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)


def score_cases(predictions: Iterable[Prediction], total: int, settings: Settings) -> Scores:
    """Scores every case once; a bar on standard error shows progress and time left.

    Args:
        predictions: the cases at the protocol's resolution, consumed lazily.
        total: number of cases, for the bar.
        settings: settings of the evaluation.

    Raises:
        UserError: the window is in micrometres and a pixel pitch is unknown, or a probability is
            NaN.
    """
    scored = score_all(predictions, range(total), settings)
    return assemble(scored.rows, scored.pools, scored.shown, settings)


def score_all(
    predictions: Iterable[Prediction], positions: Sequence[int], settings: Settings
) -> Scored:
    """Scores every case once; see `score_cases`.

    Args:
        predictions: the cases.
        positions: place of each among all cases, increasing.
        settings: settings of the evaluation.
    """
    result = Scored()
    console = make_console(stderr=True)
    # Of several processes the first one has the first case.
    is_hidden = not console.is_terminal or 0 not in positions[:1]
    shown = track(predictions, "Evaluating", len(positions), console=console, disable=is_hidden)
    for position, (prediction, row) in zip(positions, _in_threads(shown, settings), strict=True):
        row.position = position
        result.rows.append(row)
        for task, histogram in row.histograms.items():
            pixels, row.histograms[task] = histogram.parted()
            result.pools.setdefault(task, Pool()).add(pixels)
        image, truth = prediction.image, prediction.truth
        result.shown.append(Shown(position, row.id, row.score, image, truth, row.masks))
        result.shown = best_first(result.shown)
        del result.shown[_SHOWN:-_SHOWN]
        row.masks = {}  # of thousands of cases, they would not fit into memory
    return result


def best_first(cases: Iterable[Any]) -> list[Any]:
    """Rows or shown cases in the order of their scores; equal ones in that of their positions.

    Cases without masks are neither good nor bad, and left out.
    """
    scored = (case for case in cases if not np.isnan(case.score))
    return sorted(scored, key=lambda case: (-case.score, case.position))


def drawn(rows: Sequence[Row]) -> set[int]:
    """Positions of the cases that pictures show."""
    order = best_first(rows)
    return {row.position for row in (*order[:_SHOWN], *order[-_SHOWN:])}


def assemble(
    rows: Sequence[Row], pools: dict[str, Pool], shown: Sequence[Shown], settings: Settings
) -> Scores:
    """All numbers of an evaluation from those of its cases.

    Args:
        rows: one a case, in the order of the cases.
        pools: as `Scored.pools`; the calibration of the rows is added to them.
        shown: as `Scored.shown`.
        settings: settings of the evaluation.
    """
    pitches = {row.um_per_px for row in rows}
    for row in rows:
        for task, calibration in row.histograms.items():
            pools[task].add(calibration)
    ids = [row.id for row in rows]
    result = Scores(
        settings,
        ids,
        um_per_px=pitches.pop() if len(pitches) == 1 else None,
        biomarkers=agreement(ids, [row.biomarkers for row in rows]),
        shown=[*shown],
    )
    for task in (*TASKS, FAZ_POST):
        mine = [row for row in rows if task in row.values]
        if not mine:
            continue
        names = [name for name in METRIC_LABELS if any(name in row.values[task] for row in mine)]
        result.values[task] = {
            name: np.array([row.values.get(task, {}).get(name, np.nan) for row in rows])
            for name in names
        }
        result.pooled[task] = _pooled([row.counts[task] for row in mine])
        region = [row.region[task] for row in mine if task in row.region]
        if region:
            result.pooled[task]["pvr_dice"] = _pooled(region)["dice"]
        if task in pools:
            result.curves[task] = pools[task].curves()
            if "roc" in result.curves[task]:
                result.pooled[task]["auc"] = result.curves[task]["roc"]["auc"]
    return result


def _in_threads(
    predictions: Iterable[Prediction], settings: Settings
) -> Iterator[tuple[Prediction, Row]]:
    """Yields the cases in order while a few later ones are being scored."""
    # Threads suffice: the time goes into loops of NumPy, SciPy and scikit-image that release the
    # interpreter lock. Fresh processes take as long to start as the metrics of 100 cases, and
    # forking while JAX runs its threads may hang.
    workers = cores()
    pending: deque[tuple[Prediction, Future[Row]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for prediction in predictions:
            pending.append((prediction, pool.submit(score_case, prediction, settings)))
            if len(pending) > 2 * workers:
                case, future = pending.popleft()
                yield case, future.result()
        for case, future in pending:
            yield case, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def score_case(prediction: Prediction, settings: Settings) -> Row:
    """Scores one case.

    Raises:
        UserError: the window is in micrometres and the pixel pitch is unknown, or a probability is
            NaN.
    """
    probability = dict(prediction.probability)
    if not all(np.isfinite(values).all() for values in probability.values()):
        raise UserError(
            f"{prediction.id}: the network predicts values that are not numbers (NaN); its weights "
            "are damaged or its training diverged: use another checkpoint."
        )
    scored = {task: prediction.truth[task] if task in probability else None for task in TASKS}
    truth = {task: mask for task, mask in scored.items() if mask is not None}
    cuts = {task: settings.protocol.cut(values) for task, values in probability.items()}
    masks = {task: probability[task] >= cut for task, cut in cuts.items()}
    if settings.postprocess and "faz" in truth:
        truth[FAZ_POST] = truth["faz"]
        masks[FAZ_POST] = central_piece(masks["faz"]).mask
        probability[FAZ_POST], cuts[FAZ_POST] = masks[FAZ_POST].astype(np.float32), np.float32(0.5)
    window = None
    if "faz" in truth:
        window = window_around(truth["faz"], settings.window.pixels(prediction.um_per_px))
    counted = (
        {task: probability[task][None] for task in truth},
        {task: mask[None] for task, mask in truth.items()},
        {task: cuts[task][None] for task in truth},
    )
    counts = _integers(_count_pixels(*counted))
    region = {}
    if window is not None:
        region = _integers(_count_pixels(*counted, np.array([window], np.int32)))
    shown = {task: masks[task] for task in prediction.probability}
    row = Row(prediction.id, prediction.um_per_px, shown, counts, region)
    if truth and prediction.um_per_px is not None:
        row.biomarkers = measure_both(masks, scored, prediction.um_per_px)
    for task, true in truth.items():
        values = {name: float(value) for name, value in scores(counts[task]).items()}
        values |= _geometry(task, masks[task], true, prediction.um_per_px)
        if task in region:
            values["pvr_dice"] = float(scores(region[task])["dice"])
        if task != FAZ_POST:
            values["auc"] = roc_auc(probability[task], true)
            row.histograms[task] = Histogram.count(probability[task], true)
        row.values[task] = values
    return row


def _geometry(
    task: str, predicted: np.ndarray, true: np.ndarray, um_per_px: float | None
) -> dict[str, float]:
    distances = surface_distances(predicted, true)
    values = {"hd95_px": hd95(distances), "assd_px": assd(distances)}
    if um_per_px is not None:
        values |= {f"{name}_um": values[f"{name}_px"] * um_per_px for name in ("hd95", "assd")}
    if task == "rv":
        values["cl_dice"] = cl_dice(predicted, true)
    return values | {"betti0_error": betti0_error(predicted, true)}


def _integers(counts: Any) -> dict[str, dict[str, int]]:
    return {
        task: {name: int(value[0]) for name, value in by_name.items()}
        for task, by_name in jax.device_get(counts).items()
    }


def _pooled(counts: list[dict[str, int]]) -> dict[str, float]:
    totals = {name: np.sum([one[name] for one in counts]) for name in counts[0]}
    return {name: float(value) for name, value in scores(totals).items()}
