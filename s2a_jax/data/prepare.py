"""`python -m s2a_jax prepare`: a raw folder -> a TFDS data set and a report about it."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow_datasets as tfds
from absl import logging
from rich.console import Console
from rich.progress import Progress

from s2a_jax.data.builders import BUILDERS, CasesBuilder
from s2a_jax.data.cases import check_combined, read_case
from s2a_jax.data.folders import CaseFiles, first_few
from s2a_jax.data.report import Summary, make_report, report_lines, summarise
from s2a_jax.data.synthetic_set import synthetic_folder
from s2a_jax.errors import UserError


def prepare(
    name: str, raw: Path, target: Path, subset: str | None, slab: str | None, skip_unreadable: bool
) -> Path:
    """Checks every case, writes the data set and its report, and prints the report.

    The data set appears in `<target>/<name>/<subset>/<version>` when it is complete: a run that is
    stopped leaves nothing, and one that is there is reported on again but not written again.

    Args:
      name: octa500, rose, folder or synthetic.
      raw: the raw folder.
      target: folder of all prepared data sets.
      subset: of octa500 (3M, 6M) or rose (1, 2, O, Z, H); None for the others.
      slab: as `config.data.slab`.
      skip_unreadable: leave out cases that cannot be read, instead of stopping.

    Returns:
      The data set's folder.

    Raises:
      UserError: anything wrong with the arguments or the raw files, each by name.
    """
    builder = _make_builder(name, target, subset, slab)
    raw = raw.expanduser().absolute()
    listing = builder.listing(raw)
    console = Console(stderr=True)
    logging.set_verbosity(logging.ERROR)  # TFDS recommends OpenCV at every turn
    tfds.disable_progress_bar()
    with Progress(console=console, disable=not console.is_terminal) as progress:
        checking = progress.add_task("Checking", total=len(listing.cases))
        summaries, unreadable = _check(listing.cases, lambda: progress.advance(checking))
        if unreadable and not skip_unreadable:
            raise UserError(
                f"{len(unreadable)} of {len(listing.cases)} cases cannot be used; mend or remove "
                "them, or pass --skip-unreadable:\n" + "\n".join(unreadable.values())
            )
        folder = Path(builder.data_dir)
        existed = folder.is_dir()
        if not existed:
            writing = progress.add_task("Writing", total=len(summaries))
            builder.skipped = frozenset(unreadable)
            builder.on_case = lambda: progress.advance(writing)
            _write(builder, raw)
    report = make_report(summaries, {str(path): text for path, text in unreadable.items()})
    lines = [f"# {name} from {raw}", "", *(f"- {note}" for note in listing.notes), ""]
    lines += report_lines(report)
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    (folder / "report.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    done = "was there already, and was not written again" if existed else "is written"
    print(f"\n{folder} {done}; train on it with --config.data.name=prepared "
          f"--config.data.root={folder}")  # fmt: skip
    return folder


def prepare_synthetic(
    target: Path, size: int, seed: int, field_mm: tuple[float, float], counts: dict[str, int]
) -> Path:
    """Makes synthetic eyes in `<target>/eyes` and prepares them; see `prepare`.

    Raises:
      UserError: a number out of its range, or as `prepare`.
    """
    low, high = field_mm
    for flag, value, ok, expected in (
        ("--size", size, 64 <= size <= 2048, "64 to 2048 pixels"),
        ("--seed", seed, seed >= 0, "0 or more"),
        ("--field", f"{low:g} {high:g}", 2 <= low <= high <= 7, "2 to 7 mm, the smaller first"),
        ("--train", counts["train"], counts["train"] >= 1, "at least 1"),
        ("--val", counts["val"], counts["val"] >= 1, "at least 1"),
        ("--test", counts["test"], counts["test"] >= 0, "at least 0"),
    ):
        if not ok:
            raise UserError(f"{flag}={value}: expected {expected}.")
    raw = synthetic_folder(target / "eyes", size, seed, counts, field_mm)
    return prepare("synthetic", raw, target / raw.name, None, None, skip_unreadable=False)


def _make_builder(name: str, target: Path, subset: str | None, slab: str | None) -> CasesBuilder:
    configs = {
        (config.subset, config.slab): config.name for config in BUILDERS[name].BUILDER_CONFIGS
    }
    if (subset, slab) not in configs:
        subsets = ", ".join(dict.fromkeys(str(key[0]) for key in configs if key[0]))
        if not subsets:
            raise UserError(f"{name} has neither subsets nor slabs: leave out --subset and --slab.")
        if subset not in {key[0] for key in configs}:
            raise UserError(f"--subset={subset}: {name} has {subsets}.")
        slabs = ", ".join(key[1] for key in configs if key[0] == subset and key[1]) or "one only"
        raise UserError(f"--slab={slab}: the slabs of {name} {subset} are: {slabs}.")
    if target.exists() and not target.is_dir():
        raise UserError(f"--to={target} is a file; give a folder.")
    return BUILDERS[name](
        config=configs[subset, slab],
        data_dir=str(target.expanduser().absolute()),
        file_format="array_record",
    )


def _check(
    files: Sequence[CaseFiles], advance: Callable[[], None]
) -> tuple[list[Summary], dict[Path, str]]:
    """Decodes every case; the image of each that cannot be used -> why."""
    summaries, unreadable, read = [], {}, []
    for file in files:
        try:
            case = read_case(file)
            summaries.append(summarise(file, case))
            read.append((file, case._replace(image=None)))
        except UserError as error:
            unreadable[file.image] = str(error)
        advance()
    if read:
        check_combined(*zip(*read, strict=True))
    if not any(summary.split == "train" for summary in summaries):
        first = first_few(list(unreadable.values()))
        raise UserError(f"No train case can be read: {first}")
    return summaries, unreadable


def _write(builder: CasesBuilder, raw: Path) -> None:
    before = set(_unfinished(builder))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of downloads
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(manual_dir=str(raw))
            )
    except OSError as error:
        raise UserError(f"Cannot write below {builder.data_dir}: {error}.") from error
    finally:
        for folder in set(_unfinished(builder)) - before:
            shutil.rmtree(folder, ignore_errors=True)


def _unfinished(builder: CasesBuilder) -> list[Path]:
    return list(Path(builder.data_dir).parent.glob("incomplete.*"))
