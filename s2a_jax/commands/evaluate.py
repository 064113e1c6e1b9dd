"""`evaluate`: scores a trained network on a data set."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Group

from s2a_jax.analysis.foresight import Foresight, foresight, foresight_table, write_foresight
from s2a_jax.commands.flags import (
    TTA_HELP,
    check_out_folder,
    left_out_lines,
    path_flag,
    with_flags,
)
from s2a_jax.commands.known_cases import KnownCases
from s2a_jax.commands.pitch import add_pitch_flags, check_pitch_flags, stated_pitch
from s2a_jax.commands.weights import ENSEMBLE_HELP, weights_of
from s2a_jax.console import make_console
from s2a_jax.data.cases import resized
from s2a_jax.data.selection import Selection, select_cases
from s2a_jax.data.sets import DATA_SETS, PREPARED, help_on_names, help_on_subsets, layer_of
from s2a_jax.errors import UserError
from s2a_jax.evaluation.counts import TASKS
from s2a_jax.evaluation.protocols import Protocol, find_protocol
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.results import Subject, make_tables, write_results
from s2a_jax.evaluation.scoring import Prediction, Scores, Settings, score_cases
from s2a_jax.files import writing
from s2a_jax.inference.ensemble import load_all, pooled
from s2a_jax.inference.scale import Scale
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.inputs.pitch import pitches_text, resized_pitch, stretched_notes
from s2a_jax.inputs.slabs import SlabError, first_slab, slab_names
from s2a_jax.quality.confidence import expected_dice

_FLAGS = {name: f"--{name}" for name in ("name", "slab", "subset", "incomplete")} | {
    "root": "--data"
}
"""Field of `config.data` -> flag of this command."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Prints every metric with its 95 % interval. With --out, writes <split>.csv "
        "(one row per image), <split>.json, <split>_curves.png, table.txt, the best and worst "
        "cases as pictures, and <split>_expected_dice.csv and .png; docs/evaluation.md defines all "
        "of them. Images of a pitch that the network was not trained on are resampled for it."
    )
    parser.add_argument(
        "--weights",
        required=True,
        action="append",
        type=path_flag,
        help="workdir, checkpoint, .safetensors file, or sim_to_real, which ships with the "
        f"package. {ENSEMBLE_HELP}",
    )
    parser.add_argument("--data", required=True, type=path_flag, metavar="DIR", help="the data set")
    names = [name for name, data_set in DATA_SETS.items() if data_set.make is None]
    parser.add_argument(
        "--name",
        choices=(*names, PREPARED),
        help=f"the data set: {help_on_names(names)}, or one that the command prepare has stored; "
        "default: what the folder looks like",
    )
    parser.add_argument("--subset", help=help_on_subsets())
    parser.add_argument(
        "--slab",
        help="as config.data.slab; default: what the weights were trained on, if they name it; "
        "`default`: the data set's first or only one",
    )
    parser.add_argument(
        "--incomplete", choices=("error", "skip"), default="error",
        help="stop at a case that lacks one of several slabs, or skip it; default error",
    )  # fmt: skip
    parser.add_argument(
        "--split",
        default="test",
        help="test (default), val, train, the name of another split folder such as train_manual, "
        "or all",
    )
    parser.add_argument(
        "--protocol",
        choices=("native", "s2anet", "otsu"),
        default="native",
        help="native: own resolution, --threshold (default); s2anet: at 320 px, above 128/255; "
        "otsu: own resolution, Otsu's threshold for each image",
    )
    parser.add_argument("--threshold", type=float, help="of native, in [0, 1]; default 0.5")
    parser.add_argument(
        "--window",
        default="120",
        help="side of the window around the true FAZ, such as 120 (pixels) or 1200um; default 120",
    )
    parser.add_argument(
        "--postprocess",
        action="store_true",
        help="score also FAZ masks as predict and analyze write them: the most central piece, "
        "without holes",
    )
    add_pitch_flags(parser, "OCTA-500's ids or folder, and synthetic eyes")
    parser.add_argument("--tta", action="store_true", help=TTA_HELP)
    parser.add_argument("--limit", type=int, metavar="N", help="the first N cases only")
    parser.add_argument("--out", type=path_flag, metavar="DIR", help="folder for the files")


def run(options: argparse.Namespace) -> None:
    """Evaluates one network on one split.

    Raises:
        UserError: a flag, the data set or the weights cannot be used; nothing is written.
    """
    if options.threshold is not None and options.protocol != "native":
        raise UserError(
            f"--threshold: the protocol {options.protocol} has its own threshold; leave it out, or "
            "choose --protocol native."
        )
    if options.limit is not None and not options.limit > 0:
        raise UserError(f"--limit={options.limit}: expected more than 0.")
    check_pitch_flags(options)
    out = options.out
    if out is not None:
        check_out_folder(out, out)

    settings = Settings(
        find_protocol(options.protocol, options.threshold, "--"),
        Window.parse(options.window, "--window"),
        options.postprocess,
    )
    weights = weights_of(options.weights)
    models = load_all(weights)
    model = models[0]
    slab = _slab(options, model)
    selection = _select(options, slab)
    _check_slabs(selection.cases[0].image, model.slabs, options.data)
    for pitch in selection.um_per_px:  # a window that cannot be cut is a mistake before the work
        settings.window.pixels(pitch)
    _check_masks(selection, model.tasks)
    scales: list[Scale] = []
    expected: dict[str, list[float]] = {task: [] for task in model.tasks}
    known = KnownCases(weights)
    predictions = _predictions(
        selection, models, settings.protocol, options, scales, expected, known
    )
    result = score_cases(predictions, len(selection.cases), settings)
    columns, found = _foreseen(result, expected)
    notes = (*selection.notes, *stretched_notes(selection.sizes, settings.protocol.side))
    notes += (*left_out_lines(model.tasks), *_scale_notes(scales, model))
    if options.tta:
        notes = (*notes, "Probabilities are means over the eight symmetries of each image.")
    if len(models) > 1:
        notes = (*notes, f"Probabilities are means over {len(models)} networks.")
    notes += known.notes(len(result.ids))
    if not model.slabs and model.slab and layer_of(model.slab) != layer_of(slab or ""):
        other = slab or "the slab that --slab default chose"
        notes = (*notes, f"The network was trained on the slab {model.slab}, not on {other}.")
    subject = Subject(options.split, model.network, model.fields, None, notes)
    console = make_console(soft_wrap=True, width=None if sys.stdout.isatty() else 110)
    table = foresight_table(found, subject.title())
    if out is None:
        console.print(make_tables(result, subject), table)
        return
    with writing(f"to --out={out}"):
        tables = Group(write_results(result, subject, out), table)
        write_foresight(out, options.split, result.ids, columns, found)
        with (out / "table.txt").open("w", encoding="utf-8") as file:
            make_console(file=file, width=110).print(tables)
    console.print(tables)
    console.print(f"{counted(len(result.ids), 'case')} -> {out}")


def _slab(options: argparse.Namespace, model: Segmenter) -> str | None:
    """The slabs to read, as `config.data.slab`: those of --slab, or of the network's training.

    Raises:
        UserError: --slab names other slabs than the network takes, or in another order.
    """
    if options.slab is None:
        return model.slab
    try:
        given = () if options.slab == "default" else slab_names(options.slab)
    except UserError as error:
        raise UserError(with_flags(str(error), _FLAGS)) from error
    if model.slabs and [*map(layer_of, given)] != [*map(layer_of, model.slabs)]:
        raise UserError(
            f"--slab={options.slab}: the network was trained on {','.join(model.slabs)}, in this "
            "order; give these, or the names that the data set has for them, in the same order."
        )
    return ",".join(given) or None


def _select(options: argparse.Namespace, slab: str | None) -> Selection:
    """Reads the cases, with the pitch that the flags state; errors name the flags."""
    try:
        selection = select_cases(
            options.data,
            options.split,
            options.name,
            options.subset,
            slab,
            options.limit,
            options.incomplete == "skip",
            takes_own_names=options.slab is None,
        )
    except SlabError as error:
        if options.slab is not None:
            raise UserError(with_flags(str(error), _FLAGS)) from error
        fact = with_flags(error.fact, _FLAGS | {"slab": "slab"})
        names = "the data set's own names of these" if "," in slab else "another, or default"
        raise UserError(
            f"{fact}. The weights were trained on {slab}; give --slab with {names}."
        ) from error
    except UserError as error:
        raise UserError(with_flags(str(error), _FLAGS)) from error
    return replace(
        selection,
        um_per_px=tuple(
            _pitch(options, *one)
            for one in zip(selection.ids, selection.sizes, selection.um_per_px, strict=True)
        ),
    )


def _pitch(
    options: argparse.Namespace, name: str, size: tuple[int, int], known: float | None
) -> float | None:
    """The pitch of a case: that of the flags, else the data set's own."""
    try:
        stated = stated_pitch(options, size)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    return known if stated is None else stated


def _check_slabs(image: np.ndarray, slabs: tuple[str, ...], root: Path) -> None:
    """Raises a UserError unless the images have as many slabs as the network takes."""
    count = 1 if image.ndim == 2 else image.shape[2]
    if count != (len(slabs) or 1):
        raise UserError(
            f"The cases of {root} have {count} slab(s), but the network takes "
            f"{', '.join(slabs) or 'one'}; choose the slabs with --slab, or another data set."
        )


def _check_masks(selection: Selection, tasks: tuple[str, ...]) -> None:
    """Raises a UserError unless a case has a mask of a task that the network was trained on."""
    if not {*selection.tasks} & {*tasks}:
        raise UserError(
            f"--data: the cases have masks of {' and '.join(t.upper() for t in selection.tasks)}, "
            f"but the network was trained on {' and '.join(t.upper() for t in tasks)} only; give "
            "cases with such masks."
        )


def _predictions(
    selection: Selection,
    models: list[Segmenter],
    protocol: Protocol,
    options: argparse.Namespace,
    scales: list[Scale],
    expected: dict[str, list[float]],
    known: KnownCases,
) -> Iterator[Prediction]:
    """Predicts every case at its own size, or resized to the protocol's.

    Adds its scale to `scales`, and the expected Dice of its masks to `expected`; shows it to
    `known`.
    """
    rows = zip(selection.ids, selection.cases, selection.um_per_px, strict=True)
    for name, native, native_pitch in rows:
        known.look_at(name, native)
        case = resized(native, protocol.side)
        pitch = resized_pitch(native_pitch, native.image.shape[:2], case.image.shape[:2])
        try:
            computed = pooled(
                [model.compute(case.image, um_per_px=pitch, tta=options.tta) for model in models]
            )
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        scales.append(computed.scale)
        for task, one in computed.probability.items():
            expected[task].append(expected_dice(one, one >= protocol.cut(one)))
        yield Prediction(
            name,
            first_slab(case.image),
            {"rv": case.rv, "faz": case.faz},
            computed.probability,
            pitch,
        )


def _foreseen(
    result: Scores, expected: dict[str, list[float]]
) -> tuple[dict[str, np.ndarray], dict[str, Foresight]]:
    """Expected and true Dice of every case, and of every task how well they agree."""
    columns, found = {}, {}
    for task in TASKS:
        if task not in result.values:
            continue
        both = np.array(expected[task]), result.values[task]["dice"]
        columns |= dict(zip((f"{task}_expected_dice", f"{task}_dice"), both, strict=True))
        found[task] = foresight(*both)
    return columns, found


def _scale_notes(scales: list[Scale], model: Segmenter) -> tuple[str, ...]:
    """Sentences about the scale at which the network saw the images; () if it is their own."""
    notes = ()
    if resampled := [scale for scale in scales if scale.is_resampled]:
        phrases = first_few(sorted({scale.describe() for scale in resampled}))
        notes = (f"{len(resampled)} of {len(scales)} images: {phrases}.",)
    unknown = sum(scale.um_per_px is None for scale in scales)
    if unknown and model.pitches_um is not None:
        notes += (
            f"{unknown} of {len(scales)} images have no known pixel pitch and were predicted at "
            f"this size; the network was trained on {pitches_text(model.pitches_um)} per pixel: "
            "give --field-mm or --um-per-px.",
        )
    return notes
