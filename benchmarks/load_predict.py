"""Kill `predict` in the middle of many images, start it again, and look for what was lost.

    python -m benchmarks.load_predict --images 5000

Makes images of 20 sizes and runs `predict` on them in a process of its own. When half of them are
in its journal, SIGKILL ends it; then the same command runs to its end. Nothing may be lost or done
twice: what the journal listed at the kill keeps its files with their times and bytes, the second
run writes the rest, the journal and the table name each image once, and the folder holds nothing
else. A run on a few images that nobody kills, which also compiles the programs, gives the bytes
that every result must have.

Prints, of both runs, images per second and the largest resident memory in the first and the last
fifth of their images; memory is flat where the first fifth has images of every size. The exit code
is 1 if anything was lost, done twice or differs. The results of 5,000 images take 0.1 GB in the
folder of temporary files ($TMPDIR) if the smallest has 48 px, and 0.8 GB if it has 304 px.
"""

import csv
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.command_line import parser, positive, several
from benchmarks.made_images import ANATOMIES, make_images
from benchmarks.memory import resident
from s2a_jax.errors import UserError
from s2a_jax.inputs.result_files import PREDICTED
from s2a_jax.signals import leave, run_program

_KINDS = ("rv", "faz", "overlay")
_OTHERS = {f"{PREDICTED}.csv", f"{PREDICTED}.jsonl", ".lock"}
_SHOWN = 20  # losses


class Written(NamedTuple):
    """A result of an image.

    Attributes:
        time_ns: when it was written, since 1970.
        digest: SHA-256 of its bytes.
    """

    time_ns: int
    digest: str


class Moment(NamedTuple):
    """What was seen of a run at a time.

    Attributes:
        seconds: since the run began.
        images: in the journal.
        memory: resident, bytes.
    """

    seconds: float
    images: int
    memory: int


def main() -> int:
    """Kill, resume, compare, and print the table."""
    flags = parser("benchmarks.load_predict", __doc__)
    flags.add_argument("--images", type=several, default=5000, help="number; default 5000")
    flags.add_argument("--size", type=positive, default=48, help="smallest side; default 48 px")
    flags.add_argument("--sizes", type=positive, default=20, help="different sizes; default 20")
    flags.add_argument(
        "--weights", default="sim_to_real", help="as for predict; default sim_to_real, a `small`"
    )
    options = flags.parse_args()

    with tempfile.TemporaryDirectory(prefix="s2a_jax-load-") as home:
        folder = Path(home)
        paths = make_images(folder / "images", options.images, options.size, options.sizes)
        images = [path.stem for path in paths]
        originals = paths[: ANATOMIES * options.sizes]
        command = ["predict", "--weights", options.weights, "--out"]
        _run([*command, f"{folder}/whole", *map(str, originals)], folder / "whole")
        expected = written(folder / "whole", [path.stem for path in originals])

        out = folder / "out"
        command = [*command, str(out), str(folder / "images")]
        killed = _run(command, out, kill_at=len(images) // 2)
        kept = written(out, journaled(out))
        resumed_ns = time.time_ns()
        resumed = _run(command, out)
        found = losses(out, images, kept, resumed_ns, expected)
    print(
        f"{len(images)} images of {options.sizes} sizes from {options.size} px, {options.weights}"
    )
    print(table({"killed": killed, "resumed": resumed}))
    print(
        f"in the journal at the kill: {len(kept) // len(_KINDS)}; lost, done twice or different: "
        f"{len(found)}",
        *found[:_SHOWN],
        sep="\n",
    )
    return 1 if found else 0


def _run(command: Sequence[str], out: Path, kill_at: int | None = None) -> list[Moment]:
    """Runs a command of the package to its end, or kills it.

    Args:
        command: it and its flags.
        out: folder of its results.
        kill_at: number of images in the journal at which SIGKILL is sent; None: never.

    Raises:
        UserError: it did not end as it should.
    """
    start, moments = time.monotonic(), list[Moment]()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "s2a_jax", *command], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                done = len(_lines(out))
                moments.append(Moment(time.monotonic() - start, done, resident(process.pid)))
                if kill_at is not None and done >= kill_at:
                    process.kill()
                    process.wait()
                else:
                    time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        said = output.read().strip()
    if kill_at is not None and process.returncode == 0:
        raise UserError("predict ended before it could be killed; give a larger number --images.")
    if process.returncode != (0 if kill_at is None else -signal.SIGKILL):
        raise UserError(f"predict ended with {process.returncode}: {said[-2000:]}")
    return [*moments, Moment(time.monotonic() - start, len(_lines(out)), 0)]


def _lines(out: Path) -> list[bytes]:
    """The complete lines of the journal after its settings."""
    journal = out / f"{PREDICTED}.jsonl"
    return journal.read_bytes().split(b"\n")[1:-1] if journal.exists() else []


def journaled(out: Path) -> list[str]:
    """Ids of the images in the journal, in the order in which they were finished.

    Args:
        out: folder of the results.
    """
    return [json.loads(line)["id"] for line in _lines(out)]


def written(out: Path, images: Iterable[str]) -> dict[str, Written]:
    """Name -> the result of that name, of those that exist.

    Args:
        out: folder of the results.
        images: ids.
    """
    paths = (out / f"{image}_{kind}.png" for image in images for kind in _KINDS)
    return {
        path.name: Written(path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
        if path.exists()
    }


def losses(
    out: Path,
    images: Sequence[str],
    kept: Mapping[str, Written],
    resumed_ns: int,
    expected: Mapping[str, Written],
) -> list[str]:
    """What was lost or done twice, or is not as it should be; [] if nothing.

    Args:
        out: folder of the results of both runs.
        images: all ids, in order.
        kept: name -> result of an image that was in the journal at the kill.
        resumed_ns: when the second run began.
        expected: name -> result of the first images by another run; the others are copies of these,
            in the same order again and again.

    Returns:
        Sentences.
    """
    found, lines, results = [], Counter(journaled(out)), written(out, images)
    originals = len(expected) // len(_KINDS)
    for number, image in enumerate(images):
        if lines[image] != 1:
            found.append(f"{image}: {lines[image]} lines in the journal")
        for kind in _KINDS:
            name = f"{image}_{kind}.png"
            if name not in results:
                found.append(f"{name} is missing")
                continue
            if name in kept and results[name].time_ns != kept[name].time_ns:
                found.append(f"{name} was finished before the kill, and written again")
            if name not in kept and results[name].time_ns < resumed_ns:
                found.append(f"{name} was not in the journal at the kill, nor written afterwards")
            same = f"{images[number % originals]}_{kind}.png"
            if results[name].digest != expected[same].digest:
                found.append(f"{name} has other bytes than the same image by another run")
    file = out / f"{PREDICTED}.csv"
    cells = file.read_text().splitlines() if file.exists() else []
    rows = [row[0] for row in csv.reader(cells)][1:]
    if rows != [f"{image}.png" for image in images]:
        found.append(f"{file.name}: {len(rows)} rows, not one for each image in order")
    strays = {path.name for path in out.iterdir()} - results.keys() - _OTHERS
    return found + [f"{name} is a result of nothing" for name in sorted(strays)]


def table(runs: Mapping[str, Sequence[Moment]]) -> str:
    """Speed and memory of each run, by its moments in order."""
    rows = ["run       images       s  images/s    MiB, first fifth   last fifth"]
    for name, moments in runs.items():
        first, last = moments[0].images, moments[-1].images
        count, seconds = last - first, moments[-1].seconds
        early = [one.memory for one in moments if one.images <= first + count / 5]
        late = [one.memory for one in moments if one.images >= last - count / 5]
        rows.append(
            f"{name:8}  {count:6}  {seconds:6.1f}  {count / seconds:8.2f}  "
            f"{max(early) / 2**20:18.0f}  {max(late) / 2**20:11.0f}"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    leave(run_program(main))
