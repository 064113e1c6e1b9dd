"""Plant small bugs one at a time, and see whether the tests notice them.

python -m tests.mutants                        # a sample of 20
python -m tests.mutants --all --jobs 2         # all, which takes long
python -m tests.mutants --room training --match "ema" --sample 5
python -m tests.mutants --all --resume         # all that --csv does not show as noticed

Prints every mutant, and a table by room; writes a CSV file, line by line. Exit code 1: a mutant
survived, cannot be planted, or its tests fail without it.
"""

import argparse
import csv
import queue
import random
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.lists import FOLDER, DoesNotApply, Mutant, check_mutants, read_lists
from tests.mutants.plant import Copy, TestsFail, Verdict

ROOT = Path(__file__).parents[2]
OUTCOMES = ("noticed", "survived", "equivalent")
COLUMNS = ("room", "file", "old", "new", "outcome", "seconds", "noticed_by")


def main(arguments: list[str] | None = None, root: Path = ROOT, lists: Path = FOLDER) -> int:
    """Run the program -> its exit code."""
    options = _parse(arguments)
    try:
        mutants = read_lists(lists)
        check_mutants(mutants, root)
        chosen, verdicts = _choose(mutants, options)
        verdicts += _plant_all(chosen, root, options, verdicts)
    except (DoesNotApply, TestsFail) as error:
        print(error, file=sys.stderr)
        return 1
    print(_table(verdicts))
    return int(any(verdict.outcome == "survived" for verdict in verdicts))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="all in place of a sample")
    parser.add_argument("--sample", type=int, default=20, metavar="N", help="how many (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--room", action="append", help="only this list; may be repeated")
    parser.add_argument("--match", metavar="TEXT", help="only mutants whose texts or file have it")
    parser.add_argument("--jobs", type=int, default=1, help="copies of the repository (1)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="one line a mutant")
    parser.add_argument("--resume", action="store_true", help="keep what --csv has as noticed")
    options = parser.parse_args(arguments)
    if options.resume and not options.csv:
        parser.error("--resume needs --csv")
    return options


def _choose(
    mutants: list[Mutant], options: argparse.Namespace
) -> tuple[list[Mutant], list[Verdict]]:
    """The mutants to plant, and verdicts that an earlier run has reached."""
    chosen = [
        mutant
        for mutant in mutants
        if (not options.room or mutant.room in options.room)
        and (not options.match or options.match in str(mutant))
    ]
    if not options.all and options.sample < len(chosen):
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    if not options.resume or not options.csv.is_file():
        return chosen, []
    with options.csv.open(newline="", encoding="utf-8") as file:
        rows = {tuple(row[name] for name in COLUMNS[:4]): row for row in csv.DictReader(file)}
    known, rest = [], []
    for mutant in chosen:
        row = rows.get((mutant.room, mutant.file, mutant.old, mutant.new))
        if row and row["outcome"] == "noticed":
            known.append(Verdict(mutant, "noticed", float(row["seconds"]), row["noticed_by"]))
        else:
            rest.append(mutant)
    return rest, known


def _plant_all(
    mutants: list[Mutant], root: Path, options: argparse.Namespace, known: list[Verdict]
) -> list[Verdict]:
    """Plants each mutant in one of as many copies as there are jobs.

    Raises:
        TestsFail: tests fail without any bug, or cannot be found.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Copy(root, Path(folder) / str(job)) for job in range(options.jobs)]
        free: queue.Queue[Copy] = queue.Queue()
        for copy in copies:
            free.put(copy)

        def plant(mutant: Mutant) -> Verdict:
            copy = free.get()
            try:
                verdict = copy.plant(mutant)
            finally:
                free.put(copy)
            print(f"{verdict.outcome:10} {verdict.seconds:5.1f} s  {mutant}", flush=True)
            record.add(verdict)
            return verdict

        try:
            copies[0].check({test for mutant in mutants for test in mutant.tests})
            record = _Record(options.csv, known)
            with ThreadPoolExecutor(options.jobs) as pool:
                return list(pool.map(plant, mutants))
        finally:
            for copy in copies:
                copy.close()


class _Record:
    """The CSV file, which has every verdict as soon as it is reached, so that a stop keeps them."""

    def __init__(self, path: Path | None, known: list[Verdict]):
        self._path, self._writing = path, threading.Lock()
        if path is not None:
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(COLUMNS)
        for verdict in known:
            self.add(verdict)

    def add(self, verdict: Verdict) -> None:
        """Adds one line; nothing without a file."""
        if self._path is None:
            return
        mutant = verdict.mutant
        texts = (mutant.room, mutant.file, mutant.old, mutant.new)
        row = (*texts, verdict.outcome, f"{verdict.seconds:.1f}", verdict.noticed_by)
        with self._writing, self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)


def _table(verdicts: list[Verdict]) -> str:
    """Numbers of each outcome by room, the sum, and the share that is noticed or explained."""
    rooms = sorted({verdict.mutant.room for verdict in verdicts})
    lines = [f"{'room':16}" + "".join(f"{name:>12}" for name in (*OUTCOMES, "planted", "seconds"))]
    for room in [*rooms, "all"]:
        of_room = [verdict for verdict in verdicts if room in ("all", verdict.mutant.room)]
        counts = [sum(verdict.outcome == name for verdict in of_room) for name in OUTCOMES]
        seconds = sum(verdict.seconds for verdict in of_room)
        lines.append(
            f"{room:16}" + "".join(f"{n:12}" for n in (*counts, len(of_room))) + f"{seconds:12.0f}"
        )
    survived = sum(verdict.outcome == "survived" for verdict in verdicts)
    lines.append(f"noticed or equivalent: {1 - survived / max(1, len(verdicts)):.1%}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
