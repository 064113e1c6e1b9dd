"""Put the page of `serve` under the load of several users, and check every answer.

    python -m benchmarks.load_web --minutes 10 --users 4 --csv load.csv

Starts `serve` on the loopback address. Each user uploads a synthetic eye as the page does, requests
its analysis through Gradio's client, which uses the same queue as the page, waits for the answer,
and continues with the next of ten eyes in five sizes. Masks and table of an answer must be those of
`S2ANet.analyze` of the same image. Each eye is requested once before the load starts, so that all
programs are compiled. Users and server share the cores of the machine.

Prints, for each tenth of the time, the number of answers, the median and the 95th percentile of the
seconds from the start of an upload to the whole answer, and the largest resident memory of the
server. The exit code is 1 after a wrong answer or an error, if the server leaves a file behind, or
if it prints an error. Needs the extra `web`.
"""

import argparse
import base64
import contextlib
import csv
import io
import itertools
import math
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.command_line import parser, positive
from benchmarks.memory import resident
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.errors import UserError
from s2a_jax.extras import import_extra
from s2a_jax.files import written_whole
from s2a_jax.machine import cores, share_compiled_programs
from s2a_jax.signals import leave, run_program

_SIZES = ((224, 3.0), (304, 3.0), (400, 6.0), (320, 6.0), (512, 3.0))
"""Side in px and field of view in mm; `sim_to_real` sees the last two at another size."""
_PARTS = 10  # of the time, a row of the table each
_DOWNLOAD = re.compile(r'data-name="([^"]*)"[^>]*data-content="([^"]*)"')
_SOURCE = "pitch_source"  # the column in which the page names its own form
_PAUSE = 0.5  # s, after an error and between two looks at the memory
_SHOWN = 20  # mistakes


class Case(NamedTuple):
    """An image that users send, and what the answer must hold.

    Attributes:
        name: of the file, without extension.
        content: of the PNG file.
        field: choice in the form.
        eye: choice in the form.
        masks: task -> bool [H, W].
        row: column of the table -> value.
    """

    name: str
    content: bytes
    field: str
    eye: str
    masks: Mapping[str, np.ndarray]
    row: Mapping[str, str | float]


class Answer(NamedTuple):
    """A request that has ended.

    Attributes:
        start: when the upload began, s by `time.monotonic`.
        end: when the answer was complete.
        mistakes: in what it differs from the analysis, or the error; () if it is right.
    """

    start: float
    end: float
    mistakes: tuple[str, ...]


class Memory(NamedTuple):
    """Memory of the server at a time.

    Attributes:
        time: s by `time.monotonic`.
        resident: bytes.
    """

    time: float
    resident: int


class Row(NamedTuple):
    """A part of the time; the last row is the whole.

    Attributes:
        minutes: from the start of the load to the end of the part.
        answers: that ended in it.
        per_minute: answers.
        p50_s: median time of an answer; NaN without one.
        p95_s: 95th percentile of the time.
        memory_mib: largest resident memory of the server.
        wrong: answers that are wrong, or errors.
    """

    minutes: float
    answers: int
    per_minute: float
    p50_s: float
    p95_s: float
    memory_mib: float
    wrong: int


def main() -> int:
    """Serve, ask, check, and print the table."""
    flags = parser("benchmarks.load_web", __doc__)
    flags.add_argument("--minutes", type=_minutes, default=10.0, help="of load; default 10")
    flags.add_argument(
        "--users", type=positive, default=4, help="at the same time; default 4 (32 may wait)"
    )
    flags.add_argument(
        "--weights", default="sim_to_real", help="as for serve; default sim_to_real, a `small`"
    )
    flags.add_argument("--csv", type=Path, metavar="FILE", help="also write the table there")
    options = flags.parse_args()
    if options.csv and not options.csv.absolute().parent.is_dir():
        raise UserError(f"--csv={options.csv}: its folder does not exist; make it first.")
    import_extra("gradio_client", "web", "This benchmark")
    share_compiled_programs()

    cases = make_cases(options.weights)
    with _server(options.weights) as server:
        first = _asked(server.address, cases, lambda number: number < len(cases))
        start, seconds = time.monotonic(), 60 * options.minutes
        answers, memory = _load(server, cases, options.users, start + seconds)
    rows = table(answers, memory, start, seconds)
    print(
        f"{cores()} cores, {options.users} users, {options.weights}; before the load "
        f"{len(first)} answers in {first[-1].end - first[0].start:.1f} s"
    )
    print("  ".join(f"{name:>10}" for name in Row._fields))
    for row in rows:
        print("  ".join(f"{value:>10.4g}" for value in row))
    if options.csv:
        _write(options.csv, rows)
    found = server.mistakes + [text for one in (*first, *answers) for text in one.mistakes]
    print(f"wrong answers, errors and files left behind: {len(found)}", *found[:_SHOWN], sep="\n")
    return 1 if found else 0


def _minutes(text: str) -> float:
    """Parse a positive time."""
    minutes = float(text)
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0")
    return minutes


def make_cases(weights: str) -> list[Case]:
    """Makes the images and analyses them in this process.

    Args:
        weights: as for `load_from_checkpoint`.
    """
    from s2a_jax.analysis.model import S2ANet  # JAX must be imported after the cache is chosen
    from s2a_jax.analysis.pictures import png_bytes

    model, cases = S2ANet.load_from_checkpoint(weights), []
    for number, ((side, field_mm), eye) in enumerate(itertools.product(_SIZES, ("OD", "OS"))):
        pixels = synthesize_eye((7, number), EyeParameters(size=side, field_mm=field_mm)).image
        found = model.analyze(pixels, field_mm=field_mm, laterality=eye)
        name, field = f"{eye}_{side}px", f"{field_mm:g} mm"
        cases.append(Case(name, png_bytes(pixels), field, eye, found.masks, found.row()))
    return cases


class _Server:
    """A process that runs `serve`.

    Attributes:
        process: itself.
        address: of its page, with a slash at the end.
        mistakes: what it left or printed that it should not have; complete when it has ended.
    """

    def __init__(self, process: subprocess.Popen, address: str) -> None:
        self.process, self.address, self.mistakes = process, address, list[str]()


@contextlib.contextmanager
def _server(weights: str) -> Iterator[_Server]:
    """Serves the page; SIGTERM stops the server when the block ends.

    Raises:
        UserError: it does not start.
    """
    with (
        tempfile.TemporaryDirectory(prefix="s2a_jax-load-") as folder,
        tempfile.TemporaryFile("w+") as errors,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "s2a_jax", "serve", "--weights", weights],
            env=os.environ | {"TMPDIR": folder},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            line = process.stdout.readline()
            if not line.startswith("Serving at http://127.0.0.1:"):
                process.wait()
                errors.seek(0)
                raise UserError(f"serve did not start: {line}{errors.read().strip()}")
            server = _Server(process, line.split()[2])
            yield server
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
        errors.seek(0)
        if printed := errors.read().strip():
            server.mistakes.append(f"the server printed: {printed[-2000:]}")
        if process.returncode != 128 + signal.SIGTERM:
            server.mistakes.append(f"the server ended with {process.returncode}")
        left = sorted(path.name for path in Path(folder).rglob("*"))
        server.mistakes += [f"the server left {name}" for name in left]


def _load(
    server: _Server, cases: Sequence[Case], users: int, until: float
) -> tuple[list[Answer], list[Memory]]:
    """Lets users ask until a time; notes their answers and the server's memory."""
    memory, stopped = [], threading.Event()

    def goes_on(_: int) -> bool:
        return time.monotonic() < until and not stopped.is_set()

    with ThreadPoolExecutor(users) as pool:
        turns = [user % len(cases) for user in range(users)]
        asking = [
            pool.submit(_asked, server.address, [*cases[turn:], *cases[:turn]], goes_on)
            for turn in turns
        ]
        try:
            while not all(one.done() for one in asking):
                memory.append(Memory(time.monotonic(), resident(server.process.pid)))
                time.sleep(_PAUSE)
        finally:
            stopped.set()  # after Ctrl-C
    return [answer for one in asking for answer in one.result()], memory


def _asked(address: str, cases: Sequence[Case], goes_on: Callable[[int], bool]) -> list[Answer]:
    """What one user gets: the cases in turn, as long as `goes_on` of the request's number."""
    from gradio_client import Client

    direct = {"trust_env": False}  # no proxy between this machine and itself
    client = Client(
        address, verbose=False, download_files=False, httpx_kwargs=direct, analytics_enabled=False
    )
    answers = []
    for number in itertools.takewhile(goes_on, itertools.count()):
        case, start = cases[number % len(cases)], time.monotonic()
        try:
            content = _ask(client, address, case)
        except Exception as error:  # Gradio's client and httpx raise almost anything
            mistakes = (f"{case.name}: {type(error).__name__}: {error}",)
            end = time.monotonic()
            time.sleep(_PAUSE)
        else:
            end = time.monotonic()
            mistakes = differences(case, content)
        answers.append(Answer(start, end, mistakes))
    client.close()
    return answers


def _ask(client: Any, address: str, case: Case) -> str:
    """Uploads an image under a name of its own, as the page does, and requests its analysis."""
    import httpx  # comes with Gradio's client

    name = f"{case.name}.png"
    file = (f"{secrets.token_hex(16)}-{name}", case.content)
    sent = httpx.post(f"{address}gradio_api/upload", files={"files": file}, trust_env=False)
    (path,) = sent.raise_for_status().json()
    uploads = [{"path": path, "orig_name": name}]
    return client.predict(uploads, case.field, case.eye, False, api_name="/analyze")


def differences(case: Case, content: str) -> tuple[str, ...]:
    """In what an answer differs from the analysis of its image; () if it is right.

    Args:
        case: the image.
        content: the HTML fragment.
    """
    files = {name: base64.b64decode(text) for name, text in _DOWNLOAD.findall(content)}
    if not files.keys() >= {"masks.zip", "eyes.csv"}:
        text = " ".join(re.sub(r"<[^>]*>", " ", content).split())
        return (f"{case.name} has no result: {text[:300]}",)
    found = []
    with zipfile.ZipFile(io.BytesIO(files["masks.zip"])) as archive:
        for task, mask in case.masks.items():
            with archive.open(f"{case.name}_{task}.png") as file:
                pixels = np.asarray(Image.open(file))
            if not np.array_equal(pixels, mask * np.uint8(255)):
                found.append(f"{case.name}: another mask of {task.upper()}")
    (row,) = csv.DictReader(io.StringIO(files["eyes.csv"].decode(), newline=""))
    expected = {"id": case.name, **case.row}
    found += [
        f"{case.name}: {column} is {row.get(column)!r}, expected {value!r}"
        for column, value in expected.items()
        if column != _SOURCE and not _is_same(row.get(column), value)
    ]
    return tuple(found)


def _is_same(cell: str | None, value: str | float) -> bool:
    """Whether a cell, which has six digits, holds a value; NaN is an empty cell."""
    if isinstance(value, str) or math.isnan(value):
        return cell == (value if isinstance(value, str) else "")
    return bool(cell) and math.isclose(float(cell), value, rel_tol=1e-5)


def table(
    answers: Sequence[Answer], memory: Sequence[Memory], start: float, seconds: float
) -> list[Row]:
    """Rows of the parts of the time, then of the whole.

    Args:
        answers: in any order; those that ended after the time belong to the last part.
        memory: of the server.
        start: of the load, s by `time.monotonic`.
        seconds: for which users began requests.
    """
    edges = [start + seconds * part / _PARTS for part in range(_PARTS + 1)]
    spans = [*itertools.pairwise(edges), (start, edges[-1])]
    last = max([edges[-1], *(one.end for one in answers)])
    rows = []
    for begin, end in spans:
        upto = last if end == edges[-1] else end
        times = [one.end - one.start for one in answers if begin < one.end <= upto]
        p50, p95 = np.percentile(times, (50, 95)) if times else (math.nan, math.nan)
        most = max((one.resident for one in memory if begin <= one.time <= upto), default=0)
        wrong = sum(bool(one.mistakes) for one in answers if begin < one.end <= upto)
        speed = 60 * len(times) / (upto - begin)
        minutes = (upto - start) / 60
        rows.append(Row(minutes, len(times), speed, p50, p95, most / 2**20, wrong))
    return rows


def _write(path: Path, rows: Sequence[Row]) -> None:
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows([f"{value:.6g}" for value in row] for row in rows)


if __name__ == "__main__":
    leave(run_program(main))
