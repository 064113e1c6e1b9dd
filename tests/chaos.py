"""Hurt runs at random moments, resume them, and compare their end with that of an unhurt run.

python tests/chaos.py --rounds 50 --seed 1

A round is the life of one run in a folder of its own: faults in random order, each followed by what
it must lead to, then the same command until the run is finished. Its weights, its rows of
metrics.jsonl (without speeds) and its results must be those of the unhurt run, bit by bit. Prints
a row for every round; the exit code is 1 if anything was lost. As root, runs live on file systems
of their own, which can be full or read-only; else limits of the size of files and permissions take
their place.
"""

import argparse
import csv
import importlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
from conftest import COMPILATION  # noqa: E402
from lives import Life, LossError  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

SPEEDS = {"images_per_second", "eyes_per_second", "waiting_for_eyes"}
# A network of a few hundred numbers: four epochs of four steps, and rows that are no epochs.
FLAGS = ["--config", "configs/default.py", "--config.data.name=folder", "--config.data.size=32",
         "--config.model.name=unet", "--config.model.variant=tiny",
         "--config.model.widths=(2,2,2,2,4)", "--config.model.first_channels=4",
         "--config.model.decoder_channels=(2,2,2,2)", "--config.augment.crop=32",
         "--config.train.batch_size=2", "--config.train.epochs=4", "--config.eval.every_epochs=1",
         "--config.log.every_steps=3", "--config.eval.overlays=1"]  # fmt: skip

LAST = 16  # step


def kill(life):
    """SIGKILL."""
    child = life.start()
    moment = life.pause(child)
    child.kill()
    child.check(0, -signal.SIGKILL)
    return moment


def stop(life):
    """SIGTERM or SIGINT."""
    number = life.rng.choice([signal.SIGTERM, signal.SIGINT])
    child = life.start()
    moment = life.pause(child)
    child.kill(number)
    child.check(0, 128 + number, -number)  # before anything is imported, the signal itself ends it
    return f"{number.name} {moment}"


def flip(life):
    """One bit of a checkpoint."""
    if not life.checkpoints():
        return "no checkpoint"
    one = life.rng.choice(life.checkpoints())
    file = life.rng.choice([f for f in one.rglob("*") if f.is_file() and f.stat().st_size])
    before = file.read_bytes()
    content = bytearray(before)
    bit = life.rng.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    has_others = len(life.checkpoints()) > 1
    child = life.start()
    ready = ("Resuming from", "Compiling the first step", "is finished")
    child.wait(lambda: any(text in child.output for text in ready))
    child.kill(signal.SIGTERM)
    words = [f"checkpoints/{one.name} is damaged"]
    if has_others:
        child.check(0, 143, words=words)
    else:
        child.check(2, words=[*words, "No checkpoint is left"])
        if (life.workdir / "results").exists():  # such a run does not begin anew: put back a copy
            one.with_name(f"damaged-{one.name}").rename(one)
            file.write_bytes(before)
    return f"{one.name}/{file.relative_to(one)} bit {bit}"


def scribble(life):
    """Lines in metrics.jsonl that are no rows."""
    file, steps = life.workdir / "metrics.jsonl", [int(p.name) for p in life.checkpoints()]
    if not steps or max(steps) == LAST:
        return "no rows to come"
    lines = file.read_bytes().splitlines(keepends=True)
    for line in (b"5", b"null", b"[1]", b"\xff\xfe", b'{"step": "x"}', b'{"step": NaN}'):
        lines.insert(life.rng.randint(0, len(lines) - 1), line + b"\n")
    file.write_bytes(b"".join(lines))
    child = life.start()
    child.wait(lambda: "could not be read" in child.output)
    child.kill(signal.SIGTERM)
    child.check(0, 143, words=["had 6 lines that could not be read; dropped."])
    return "6"


def fill(life):
    """A full disk."""
    words = ("error: Cannot write", "the disk is full")
    if not life.mounted:
        size = int(life.rng.uniform(600, 6000))
        life.start(file_size=size).check(1, words=words)
        return f"files of {size} bytes"
    status = os.statvfs(life.disk)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    size = used + int(life.rng.uniform(4096, 120_000))
    life.remount(f"size={size}")
    child = life.start()
    child.wait()
    life.remount("size=64m")
    child.check(0, 1, words=words if child.code else ())
    return f"{(size - used) / 1024:.0f} KiB left"


def protect(life):
    """A folder that cannot be written to."""
    if not life.mounted:
        if not os.geteuid():
            return "not as root without a file system"
        life.workdir.mkdir(exist_ok=True)
        life.workdir.chmod(0o500)
    else:
        life.remount("ro")
    child = life.start()
    child.wait()
    if life.mounted:
        life.remount("rw")
    else:
        life.workdir.chmod(0o700)
    child.check(2, words=("error: Cannot write to",))
    return ""


def meet(life):
    """Two runs in one folder at once."""
    both = [life.start(), life.start()]
    both[0].wait(both[1].has_ended)
    for child in both:  # the loser has ended
        child.kill()
    codes = sorted(child.wait() and child.code for child in both)
    if 2 not in codes and 0 not in codes:  # both may finish one after the other
        raise LossError(f"exit codes {codes}")
    for child in both:
        words = ("Another run is at work",) if child.code == 2 else ()
        child.check(0, 2, -signal.SIGKILL, words=words)
    return str(codes)


def change(life):
    """Another pixel in the data set."""
    if not life.checkpoints():
        return "no checkpoint"
    image = life.rng.choice(sorted(life.data.rglob("images/*.png")))
    before = image.read_bytes()
    pixels = np.asarray(Image.open(image)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(image)
    life.start().check(2, words=("1 case has other pixels or masks", image.stem))
    image.write_bytes(before)
    return image.stem


def lose(life):
    """One of two processes; the other must end."""
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        address = f"localhost:{sock.getsockname()[1]}"
    both = [
        life.start(f"--coordinator={address}", "--processes=2", f"--process={i}") for i in range(2)
    ]
    moment = life.pause(both[0])
    which = life.rng.randrange(2)
    both[which].kill()
    both[which].check(0, -signal.SIGKILL)
    other = both[1 - which]
    other.check(0, 1, 2, -signal.SIGABRT)
    life.is_exact = False  # sums over two devices are rounded in another order
    return f"process {which} {moment}, the other ended with {other.code}"


FAULTS = (kill, stop, flip, scribble, fill, protect, meet, change)


def rows(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in SPEEDS} for line in lines]


def compare(life, reference):
    """Raises a LossError unless a finished run ended as the unhurt one."""
    ours, theirs = (load_file(w / "weights.safetensors") for w in (life.workdir, reference))
    near = {} if life.is_exact else {"rtol": 1e-2, "atol": 1e-3}
    for name in ours.keys() | theirs.keys():
        np.testing.assert_allclose(ours[name], theirs[name], err_msg=name, **near or {"rtol": 0})
    if [row["step"] for row in rows(life.workdir)] != [row["step"] for row in rows(reference)]:
        raise LossError("metrics.jsonl has other steps")
    if not life.is_exact:
        return
    if rows(life.workdir) != rows(reference):
        raise LossError("metrics.jsonl has other numbers")
    for table in ("val.csv", "test.csv"):
        with (life.workdir / "results" / table).open() as one:
            mine = list(csv.reader(one))
        with (reference / "results" / table).open() as other:
            if mine != list(csv.reader(other)):
                raise LossError(f"{table} differs")


def live(life, faults, reference, notes):
    """Goes through faults, finishes the run and compares it."""
    for fault in faults:
        notes.append(f"{fault.__name__} ({fault(life)})")
    for _ in range(3):  # a damaged only checkpoint ends one of them
        child = life.start()
        child.wait()
        if child.code != 2:
            break
    child.check(0)
    compare(life, reference)


def make_data(folder):
    """Eight images to train on, two to choose the best network by, two to test it: 32 px."""
    rng = np.random.default_rng(0)
    for split, number in (("train", 8), ("val", 2), ("test", 2)):
        for kind in ("images", "rv", "faz"):
            (folder / split / kind).mkdir(parents=True)
            for i in range(number):
                pixels = rng.integers(0, 256, (32, 32), np.uint8)
                if kind != "images":
                    pixels = (pixels > 127).astype(np.uint8) * 255
                Image.fromarray(pixels).save(folder / split / kind / f"{split}{i}.png")
    return folder


def show(number, life, faults, reference):
    """Lives one life and prints its row of the table; returns whether nothing was lost."""
    notes, start = [], time.monotonic()
    try:
        live(life, faults, reference, notes)
        verdict = "equal" if life.is_exact else "near"
    except (LossError, AssertionError) as loss:
        where = faults[len(notes)].__name__ if len(notes) < len(faults) else "the end"
        verdict = f"LOST in {where}: {loss}"
    took = f"{time.monotonic() - start:.0f} s"
    print(f"| {number} | {'; '.join(notes)} | {took} | {verdict} |", flush=True)
    return not verdict.startswith("LOST")


def many(rounds, seed, home):
    """Lives of a small network, and of an unhurt run to compare them with."""
    data = make_data(home / "made")
    seconds = []
    for name in ("first", "unhurt"):  # the first one compiles
        start, unhurt = time.monotonic(), Life(home / name, FLAGS, random.Random(0), data=data)
        unhurt.start().check(0)
        seconds.append(time.monotonic() - start)
    print(f"Unhurt runs took {seconds[0]:.0f} s, with all programs compiled {seconds[1]:.0f} s.")
    lost, counts = 0, Counter()
    for number in range(rounds):
        rng = random.Random(f"{seed} {number}")
        faults = [rng.choice((kill, stop)), *rng.sample(FAULTS, 3), *[lose] * (number % 4 == 3)]
        counts.update(fault.__name__ for fault in faults)
        life = Life(home / f"life{number}", FLAGS, rng, data=data, seconds=seconds[1])
        life.mount()
        lost += not show(number, life, faults, unhurt.workdir)
        life.close()
    print(f"Lost: {lost} of {rounds}. Faults: {dict(counts)}.")
    return 1 if lost else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--reference", type=Path, help="one life of the run with FLAGS, of which this is unhurt"
    )
    parser.add_argument("flags", nargs="*", metavar="FLAGS")
    options = parser.parse_args()
    os.environ["XLA_FLAGS"] = COMPILATION  # one device, unlike in the tests
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="s2a_jax-chaos-") as home:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{home}/xla")
        importlib.import_module("s2a_jax.commands.train")  # forks need not import it again
        if options.reference is None:
            return many(options.rounds, options.seed, Path(home))
        life = Life(Path(home) / "life", options.flags, random.Random(options.seed))
        return 0 if show(0, life, [kill, fill, flip], options.reference) else 1


if __name__ == "__main__":
    sys.exit(main())
