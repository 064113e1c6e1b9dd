"""`python -m s2a_jax prepare`: a raw folder -> a TFDS data set and a report about it."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow_datasets as tfds
from rich.console import Console
from rich.progress import Progress

from s2a_jax.data.cases import Case, check_combined, read_case
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.data.pitch import SYNTHETIC_FIELD_MM
from s2a_jax.data.prepared.builders import BUILDERS, CasesBuilder, SourceConfig
from s2a_jax.data.prepared.encoded import CannotKeepError, EncodedCases
from s2a_jax.data.prepared.summary import Summary, make_report, report_lines, summarise
from s2a_jax.data.synthetic_set import synthetic_folder
from s2a_jax.data.synthetic_slabs import SYNTHETIC_SLABS, synthetic_slabs
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import first_few
from s2a_jax.inputs.slabs import slab_names


def prepare(
    name: str,
    raw: Path,
    target: Path,
    subset: str | None,
    slab: str | None,
    skip_unreadable: bool,
    skip_incomplete: bool = False,
) -> Path:
    """Checks every case, writes the data set and its report, and prints the report.

    The data set appears in `<target>/<name>/<subset>/<version>` when it is complete, and one that
    is there is reported on again but not written again; one of other cases is refused. Every case
    that is read and encoded is kept beside it until then, in `<target>/<name>/.partial-<subset>`,
    which a run after one that was stopped goes on from.

    Args:
      name: octa500, rose, folder or synthetic.
      raw: the raw folder.
      target: folder of all prepared data sets.
      subset: of octa500 (3M, 6M) or rose (1, 2, O, Z, H); None for the others.
      slab: as `config.data.slab`.
      skip_unreadable: leave out cases that cannot be read, instead of stopping.
      skip_incomplete: leave out cases that lack one of several slabs, instead of stopping.

    Returns:
      The data set's folder.

    Raises:
      UserError: anything wrong with the arguments or the raw files, each by name.
    """
    builder = _make_builder(name, target, subset, slab)
    builder.skip_incomplete = skip_incomplete
    raw = raw.expanduser().absolute()
    listing = builder.listing(raw)
    console = Console(stderr=True)
    tfds.disable_progress_bar()
    folder = Path(builder.data_dir)
    existed = folder.is_dir()
    partial = folder.parent.with_name(f".partial-{folder.parent.name}")
    encoded = EncodedCases(partial, builder.info.features, builder.encoded)
    builder.encode = encoded.encode
    with Progress(console=console, disable=not console.is_terminal) as progress:
        checking = progress.add_task("Checking", total=len(listing.cases))
        summaries, unreadable = _check(
            listing.cases,
            read_case if existed else encoded.read,
            lambda: progress.advance(checking),
        )
        if encoded.reused:
            console.print(
                f"{encoded.reused} of {len(listing.cases)} cases had been read by an earlier run."
            )
        if unreadable and not skip_unreadable:
            raise UserError(
                f"{len(unreadable)} of {len(listing.cases)} cases cannot be used; mend or remove "
                "them, or pass --skip-unreadable:\n" + "\n".join(unreadable.values())
            )
        if not existed:
            writing = progress.add_task("Writing", total=len(summaries))
            builder.skipped = frozenset(unreadable)
            builder.on_case = lambda: progress.advance(writing)
            _write(builder, raw, partial / "downloads")
    shutil.rmtree(partial, ignore_errors=True)
    slabs = slab_names(slab)
    notes = [f"slabs, in this order: {', '.join(slabs)}"] if len(slabs) > 1 else []
    report = make_report(summaries, {str(path): text for path, text in unreadable.items()})
    if existed:
        _check_same(folder, report)
    lines = [f"# {name} from {raw}", "", *(f"- {note}" for note in (*notes, *listing.notes)), ""]
    lines += report_lines(report)
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    (folder / "report.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    done = "was there already, and was not written again" if existed else "is written"
    print(f"\n{folder} {done}; train on it with --config.data.name=prepared "
          f"--config.data.root={folder}")  # fmt: skip
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
      UserError: a number out of its range, or as `prepare`.
    """
    low, high = field_mm
    least, most = SYNTHETIC_FIELD_MM
    allowed = f"{least:g} to {most:g} mm, the smaller first"
    for flag, value, ok, expected in (
        ("--size", size, 64 <= size <= 2048, "64 to 2048 pixels"),
        ("--seed", seed, seed >= 0, "0 or more"),
        ("--field", f"{low:g} {high:g}", least <= low <= high <= most, allowed),
        ("--train", counts["train"], counts["train"] >= 1, "at least 1"),
        ("--val", counts["val"], counts["val"] >= 1, "at least 1"),
        ("--test", counts["test"], counts["test"] >= 0, "at least 0"),
    ):
        if not ok:
            raise UserError(f"{flag}={value}: expected {expected}.")
    slabs = synthetic_slabs(slab)
    several = slabs != SYNTHETIC_SLABS[:1]
    raw = synthetic_folder(target / "eyes", size, seed, counts, field_mm, several)
    listed = ",".join(slabs) if several else None
    return prepare("synthetic", raw, target / raw.name, None, listed, skip_unreadable=False)


def _make_builder(name: str, target: Path, subset: str | None, slab: str | None) -> CasesBuilder:
    configs = {
        (config.subset, config.slab): config.name for config in BUILDERS[name].BUILDER_CONFIGS
    }
    subsets = dict.fromkeys(key[0] for key in configs if key[0])
    if subset not in (subsets or {None}):
        has = ", ".join(subsets) if subsets else "no subsets: leave it out"
        what = "--subset is missing" if subset is None else f"--subset={subset}"
        raise UserError(f"{what}: {name} has {has}.")
    names = slab_names(slab)
    known = [key[1] for key in configs if key[0] == subset and key[1]]
    for one in names if subsets else ():  # in a folder they are its folders
        if one not in known:
            has = ", ".join(known) or "one only"
            raise UserError(f"--slab={one}: the slabs of {name} {subset} are: {has}.")
    # Of what TFDS takes in a name: SVC_DVC is one slab, SVC+DVC are two.
    slabs = "+".join(re.sub(r"[^\w.-]", "-", one) for one in names)
    label = "_".join(filter(None, (configs[subset, None], slabs)))
    listed = ",".join(names) or None
    config = configs.get((subset, listed)) or SourceConfig(name=label, subset=subset, slab=listed)
    if target.exists() and not target.is_dir():
        raise UserError(f"--to={target} is a file; give a folder.")
    return BUILDERS[name](
        config=config,
        data_dir=str(target.expanduser().absolute()),
        file_format="array_record",
    )


def _check(
    files: Sequence[CaseFiles], read: Callable[[CaseFiles], Case], advance: Callable[[], None]
) -> tuple[list[Summary], dict[Path, str]]:
    """Decodes every case; the image of each that cannot be used -> why."""
    summaries, unreadable, checked = [], {}, []
    for file in files:
        try:
            case = read(file)
            summaries.append(summarise(file, case))
            checked.append((file, case._replace(image=None)))
        except CannotKeepError:
            raise
        except UserError as error:
            unreadable[file.image] = str(error)
        advance()
    if checked:
        check_combined(*zip(*checked, strict=True))
    if not any(summary.split == "train" for summary in summaries):
        first = first_few(list(unreadable.values()))
        raise UserError(f"No train case can be read: {first}")
    return summaries, unreadable


def _check_same(folder: Path, report: dict) -> None:
    """Raises a UserError if the data set that is there was prepared from other cases.

    Those of a folder have no names to tell them apart by, as the subsets of OCTA-500 have.
    """
    try:
        told = json.loads((folder / "report.json").read_text())["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # of a run that was stopped just before its report, or of an older version
    if told != report["digest"]:
        raise UserError(
            f"{folder} was prepared from other cases, as its report.md tells; give another --to, "
            "or remove that folder to prepare these."
        )


def _write(builder: CasesBuilder, raw: Path, downloads: Path) -> None:
    before = set(_unfinished(builder))
    is_complete = False
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of downloads
            builder.download_and_prepare(
                download_dir=str(downloads),  # stays empty; else it is made beside the data sets
                download_config=tfds.download.DownloadConfig(manual_dir=str(raw)),
            )
        is_complete = True
    except OSError as error:
        raise UserError(f"--to: cannot write below {builder.data_dir}: {error}.") from error
    finally:
        # Nobody needs those of killed runs, either, once the data set is there.
        for folder in set(_unfinished(builder)) - (set() if is_complete else before):
            shutil.rmtree(folder, ignore_errors=True)


def _unfinished(builder: CasesBuilder) -> list[Path]:
    return list(Path(builder.data_dir).parent.glob("incomplete.*"))
