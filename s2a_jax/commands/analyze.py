"""`analyze`: masks, overlays, biomarkers and quality of images, in one table and one page."""

import argparse
from collections import Counter
from pathlib import Path

from s2a_jax import __version__
from s2a_jax.analysis.batch import Request, analyze_files
from s2a_jax.analysis.dicom_seg import Algorithm, check_sources, without_segmentation
from s2a_jax.analysis.table import SUMMARY, write_summary, write_table
from s2a_jax.commands.eyes import (
    add_eye_flags,
    check_eye_flags,
    eye_rows,
    known_eye,
    side_lines,
)
from s2a_jax.commands.failures import Failures
from s2a_jax.commands.flags import left_out_lines, path_flag
from s2a_jax.commands.predict import add_batch_flags, check_batch_flags
from s2a_jax.commands.weights import ENSEMBLE_HELP, weights_of
from s2a_jax.errors import UserError
from s2a_jax.inference.ensemble import load_all
from s2a_jax.inference.journal import Finished, Journal
from s2a_jax.inputs.eye_table import EyeRow
from s2a_jax.inputs.image_files import check_slab_count, list_images
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.inputs.notes import note_lines
from s2a_jax.inputs.result_files import ANALYZED, journals_in

_SETTINGS = (
    "threshold", "tta", "um_per_px", "field_mm", "laterality", "axial_length_mm",
    "reference_axial_length_mm", "uncertainty", "save_probabilities", "dicom_seg",
)  # fmt: skip
"""Flags that the files and the row of an image depend on."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Writes, for every image, <image>_rv.png and <image>_faz.png (0/255) and "
        "<image>_overlay.png, and for all of them eyes.csv (biomarkers, pitch, quality and notes, "
        "one row per eye; docs/biomarkers.md explains the columns), summary.html and "
        "contact_sheet.png. Biomarkers need the size of the pixels: --field-mm, --um-per-px, "
        "--eyes, or files that state it. Frames around screenshots are cut off. The same command "
        "resumes: it skips images whose files and results are as the last run left them. Files "
        "that cannot be used are listed at the end and in summary.html, with exit code 1. Not a "
        "medical device."
    )
    parser.add_argument(
        "--weights",
        action="append",
        type=path_flag,
        help="workdir, checkpoint or .safetensors file; default sim_to_real, which ships with the "
        f"package. {ENSEMBLE_HELP}",
    )
    add_batch_flags(parser, ANALYZED)
    parser.add_argument(
        "--recursive",
        action="store_true",
        help="look in the folders below the given ones too; ids then name them: site/eye1, whose "
        "files are site+eye1_rv.png and so on",
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="write <image>_uncertainty.png, the entropy of the probabilities; --tta and several "
        "--weights do too",
    )
    parser.add_argument(
        "--save-probabilities",
        action="store_true",
        help="write <image>_probability.npz with float16 arrays rv and faz, and with --tta or "
        "several --weights also their standard deviation over these, rv_spread and faz_spread",
    )
    add_eye_flags(parser)


def run(options: argparse.Namespace) -> int:
    """Analyses every image that is not finished yet.

    Returns:
        The exit code: 1 if some images cannot be used.

    Raises:
        UserError: a flag, table or weights that cannot be used, or no image can.
    """
    out, shard = options.out, options.shard
    check_batch_flags(options)
    check_eye_flags(options)
    _check_table(out, options.eyes)
    every = list_images(options.images, recursive=options.recursive, out=out)
    if options.dicom_seg:
        check_sources(every)
    table = eye_rows(every, options.eyes)
    images = shard.slice(every)
    weights = weights_of(options.weights or ["sim_to_real"])
    models = load_all(weights)
    model = models[0]
    check_slab_count(images, model.slabs, weights[0])
    settings = {"version": __version__, "weights": [one.fingerprint() for one in models]}
    settings |= {name: getattr(options, name) for name in _SETTINGS}
    algorithm = Algorithm(
        model.network, __version__, tuple(settings["weights"]), options.threshold, options.tta
    )
    journal = Journal(out, ANALYZED, settings, shard)
    request = Request(
        out,
        options.threshold,
        options.tta,
        options.uncertainty or options.tta or len(models) > 1,
        options.save_probabilities,
        algorithm if options.dicom_seg else None,
        options.batch_size,
        options.jobs,
    )
    failures = Failures("image", len(images))
    # An eye is computed again when its row of --eyes is another one.
    about = {
        id_: (row.laterality, row.axial_length_mm, row.um_per_px, row.field_mm)
        for id_, row in table.items()
    }
    with journal.alone():
        rows = journal.finished(images, about)
        left = [files for files in images if files.id not in rows]
        rows |= analyze_files(
            models,
            left,
            journal,
            request,
            lambda files, contents: known_eye(contents, options, table.get(files.id, EyeRow())),
            failures.add,
            about,
        )
        finished = [rows[files.id] for files in images if files.id in rows]
        path = out / f"{ANALYZED}{shard.suffix}.csv"
        # An earlier table would show eyes as good whose files can no longer be used.
        if finished or not images or path.exists():
            write_table(path, finished)
            if shard.count == 1:
                write_summary(out, finished, failures.reasons.items())
        failures.refuse_all()
    for line in (*_lines(finished), *left_out_lines(model.tasks)):
        print(line)
    for line in without_segmentation(images) if options.dicom_seg else ():
        print(line)
    before = len(images) - len(left)
    skipped = f" ({before} of them by an earlier run)" if before else ""
    page = f"; look at {out / SUMMARY}" if shard.count == 1 else ""
    print(f"{counted(len(finished), 'image')} -> {out}{skipped}{page}")
    return failures.finish()


def _check_table(out: Path, eyes: Path | None) -> None:
    """Raises a UserError if the table of results would replace one that the user made."""
    table = out / f"{ANALYZED}.csv"
    if not table.exists():
        return
    if eyes is not None and eyes.exists() and table.samefile(eyes):
        raise UserError(
            f"--eyes={eyes} would be replaced by the table of results; give another --out."
        )
    if not journals_in(out, ANALYZED):
        raise UserError(
            f"{table} holds a table that analyze did not write, and would be replaced; rename it, "
            "or give another --out."
        )


def _lines(finished: list[Finished]) -> list[str]:
    """Notes, doubts about the images, and what was measured."""
    lines = [*note_lines(note for one in finished for note in one.notes)]
    rows = {one.id: one.row["row"] for one in finished}
    doubts = Counter(doubt for row in rows.values() for doubt in row["doubts"].split())
    for doubt, count in doubts.most_common():
        ids = [id_ for id_, row in rows.items() if doubt in row["doubts"].split()]
        lines.append(f"{doubt} in {counted(count, 'image')}: {first_few(ids)}.")
    levels = Counter(row["quality"] for row in rows.values())
    if levels:  # a shard may be empty
        lines.append(f"Quality: {', '.join(f'{n} {level}' for level, n in levels.items())}.")
    lines += side_lines((id_, row["laterality"]) for id_, row in rows.items())
    if without := [id_ for id_, row in rows.items() if row["image_um_per_px"] is None]:
        lines.append(
            f"Nothing is measured in {counted(len(without), 'image')} whose pixel pitch is "
            f"unknown: {first_few(without)}."
        )
    return lines
