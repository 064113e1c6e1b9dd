"""From a raw folder to a TFDS data set and a report about it."""

import contextlib
import io
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow_datasets as tfds
from rich.progress import Progress

from s2a_jax.console import make_console
from s2a_jax.data.cases import Case, check_combined, read_case
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.data.prepared.builders import (
    CasesBuilder,
    CasesConfig,
    builder_class,
    config_name,
)
from s2a_jax.data.prepared.encoded import CannotKeepError, EncodedCases
from s2a_jax.data.prepared.summary import Summary, make_report, report_lines, summarise
from s2a_jax.data.sets import DATA_SETS, synthetic_slabs
from s2a_jax.data.splits import TRAINING, Wanted
from s2a_jax.data.synthetic import SYNTHETIC, is_plain, make_set
from s2a_jax.errors import UserError
from s2a_jax.files import full_path, written_whole
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.inputs.notes import note_lines
from s2a_jax.inputs.slabs import slab_names


def prepare(
    name: str,
    raw: Path,
    target: Path,
    subset: str | None,
    slab: str | None,
    skip_unreadable: bool,
    wanted: Wanted = TRAINING,
) -> Path:
    """Checks every case, writes the data set and its report, and prints the report.

    The data set appears in `<target>/<name>/<subset>/<version>` when it is complete. An existing
    one gets a new report but is not written again; one with other cases is an error. Until the data
    set is complete, `<target>/<name>/.partial-<subset>` keeps every case that has been encoded, so
    that a run that was stopped can be resumed.

    Args:
        name: name of the data set in `DATA_SETS`.
        raw: the raw folder.
        target: folder of all prepared data sets.
        subset: as `config.data.subset`; None for data sets without subsets.
        slab: as `config.data.slab`.
        skip_unreadable: leave out cases that cannot be read, instead of stopping.
        wanted: the cases to prepare, all three splits.

    Returns:
        The data set's folder.

    Raises:
        UserError: an argument or a raw file cannot be used; the message names all such files.
    """
    builder = _make_builder(name, target, subset, slab)
    builder.wanted = wanted
    raw = full_path(raw)
    listing = builder.listing(raw)
    console = make_console(stderr=True)
    tfds.disable_progress_bar()
    folder = Path(builder.data_dir)
    existed = folder.is_dir()
    partial = folder.parent.with_name(f".partial-{folder.parent.name}")
    encoded = EncodedCases(partial, builder.info.features, builder.encoded)
    builder.encode = encoded.encode
    every = counted(len(listing.cases), "case")
    with Progress(console=console, disable=not console.is_terminal) as progress:
        checking = progress.add_task("Checking", total=len(listing.cases))
        summaries, unreadable = _check(
            listing.cases,
            read_case if existed else encoded.read,
            lambda: progress.advance(checking),
        )
        if encoded.reused:
            console.print(f"An earlier run had read {encoded.reused} of {every}.")
        if unreadable and not skip_unreadable:
            raise UserError(
                f"{len(unreadable)} of {every} cannot be used; repair or remove them, "
                "or pass --skip-unreadable:\n" + "\n".join(unreadable.values())
            )
        if not existed:
            writing = progress.add_task("Writing", total=len(summaries))
            builder.skipped = frozenset(unreadable)
            builder.on_case = lambda: progress.advance(writing)
            _write(builder, raw, partial / "downloads")
    shutil.rmtree(partial, ignore_errors=True)
    slabs = slab_names(slab)
    notes = [f"slabs, in this order: {', '.join(slabs)}"] if len(slabs) > 1 else []
    notes += note_lines(note for summary in summaries for note in summary.notes)
    report = make_report(summaries, {str(path): text for path, text in unreadable.items()})
    if existed:
        _check_same(folder, report)
    lines = [
        f"# {name} from {raw}",
        "",
        *(f"- {note}" for note in (f"{listing.layout}.", *notes, *listing.notes)),
        "",
    ]
    lines += report_lines(report)
    with written_whole(folder / "report.json") as path:
        path.write_text(json.dumps(report, indent=1))
    with written_whole(folder / "report.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    done = "existed already and was not written again" if existed else "is written"
    flags = f"--config.data.root={shlex.quote(str(folder))} --config.data.size={_size(summaries)}"
    print(f"\n{folder} {done}; train on it with --config.data.name=prepared {flags}")
    return folder


def prepare_synthetic(
    target: Path,
    size: int,
    seed: int,
    field_mm: tuple[float, float],
    counts: dict[str, int],
    slab: str | None = None,
) -> Path:
    """Makes synthetic eyes in `<target>/eyes` and prepares them; see `prepare`.

    Raises:
        UserError: a number is out of its range, or as `prepare`.
    """
    slab = ",".join(synthetic_slabs(slab))
    section = {
        "root": target / "eyes", "seed": seed, "field_mm": field_mm, "stream": False,
        "deep_share": 0.0, **counts,
    }  # fmt: skip
    raw = make_set(section, size, slab)
    slab = None if is_plain(slab) else slab
    return prepare(SYNTHETIC.name, raw, target / raw.name, None, slab, skip_unreadable=False)


def _make_builder(name: str, target: Path, subset: str | None, slab: str | None) -> CasesBuilder:
    data_set = DATA_SETS[name]
    data_set.chosen_slabs(subset, slab)
    if target.exists() and not target.is_dir():
        raise UserError(f"--to={target} is a file; give a folder.")
    builder = builder_class(data_set)
    label = config_name(data_set, subset, slab)
    config = builder.builder_configs.get(label) or CasesConfig(label, subset=subset, slab=slab)
    return builder(
        config=config,
        data_dir=str(full_path(target)),
        file_format="array_record",
    )


def _check(
    files: Sequence[CaseFiles], read: Callable[[CaseFiles], Case], advance: Callable[[], None]
) -> tuple[list[Summary], dict[Path, str]]:
    """Decodes every case; returns summaries, and for each unusable case its image -> the error."""
    summaries, unreadable, checked = [], {}, []
    for file in files:
        try:
            case = read(file)
            summaries.append(summarise(file, case))
            checked.append(file)
        except CannotKeepError:
            raise
        except UserError as error:
            unreadable[file.image] = str(error)
        advance()
    check_combined(checked, [bool(summary.masks.faz_share) for summary in summaries])
    if not any(summary.split == "train" for summary in summaries):
        first = first_few(list(unreadable.values()))
        raise UserError(f"No train case can be read: {first}")
    return summaries, unreadable


def _size(cases: Sequence[Summary]) -> int:
    """A side to train at: that of most images, or the multiple of 16 below it."""
    (side, _), *_ = Counter(min(case.size) for case in cases).most_common(1)
    return max(32, side // 16 * 16)


def _check_same(folder: Path, report: dict) -> None:
    """Raises a UserError if the existing data set was prepared from other cases.

    Two folders of a user's images are both called `folder`, so that the name says too little.
    """
    try:
        existing = json.loads((folder / "report.json").read_text())
    except (OSError, ValueError):
        return  # the run was stopped just before the report, or the file is damaged
    if existing["digest"] != report["digest"]:
        raise UserError(
            f"{folder} was prepared from other cases, which its report.md describes; give another "
            "--to, or remove that folder to prepare these cases."
        )


def _write(builder: CasesBuilder, raw: Path, downloads: Path) -> None:
    before = set(_unfinished(builder))
    is_complete = False
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints about downloads
            builder.download_and_prepare(
                download_dir=str(downloads),  # stays empty; TFDS's default is beside the data sets
                download_config=tfds.download.DownloadConfig(manual_dir=str(raw)),
            )
        is_complete = True
    except OSError as error:
        raise UserError(f"--to: cannot write below {builder.data_dir}: {error}.") from error
    finally:
        # Once the data set is complete, nobody needs what killed runs left either.
        for folder in set(_unfinished(builder)) - (set() if is_complete else before):
            shutil.rmtree(folder, ignore_errors=True)


def _unfinished(builder: CasesBuilder) -> list[Path]:
    return list(Path(builder.data_dir).parent.glob("incomplete.*"))
