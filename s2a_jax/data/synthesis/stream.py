"""Eyes without end, made ahead by several processes."""

import itertools
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Self

from s2a_jax.data.synthesis.eye import Eye, synthesize_eye
from s2a_jax.data.synthesis.parameters import EyeParameters
from s2a_jax.errors import UserError
from s2a_jax.machine import cores

Recipe = tuple[int | tuple[int, ...], EyeParameters]
"""What `synthesize_eye` takes: a seed and parameters."""

_LOOK = 256  # recipes at once: where all are None, one would look for an eye forever


def stream_eyes(
    seed: int, parameters: EyeParameters, start: int = 0, processes: int | None = None
) -> Iterator[Eye]:
    """Eyes `start`, `start + 1`, ... of a seed, without end and without repetition.

    Args:
        seed: of the stream, >= 0; eye k is `synthesize_eye((seed, k), parameters)` for any number
            of processes.
        parameters: of every eye.
        start: number of the first eye, to go on where an earlier stream stopped.
        processes: that make eyes, two each ahead; None: one a core. With 0 they are made here.
    """
    recipes = (((seed, number), parameters) for number in itertools.count(start))
    if processes == 0:
        yield from itertools.starmap(synthesize_eye, recipes)
    with EyesAhead(recipes, processes) as eyes:
        yield from eyes


class EyesAhead:
    """The eyes of `recipes`, in their order, made ahead by processes of their own.

    The processes are programs of their own (`worker`) rather than of `multiprocessing`, which
    would import the main program, and JAX with it, into each: 0.4 GB and 3 seconds. They end when
    this is closed, and by themselves when this process ends, in whatever way.

    Args:
        recipes: of the eyes to make; may be endless. None stands for something else that is due
            there, such as a case of another source: it takes no process's time.
        processes: that make eyes; None: one for each core that this process may use.
        extra: eyes ahead beyond two a process: as many as are commonly taken at once.

    Attributes:
        processes: the processes.
    """

    def __init__(
        self, recipes: Iterable[Recipe | None], processes: int | None = None, extra: int = 0
    ):
        count = processes or cores()
        self._recipes = iter(recipes)
        self._jobs: queue.SimpleQueue[tuple[Recipe, Future] | None] = queue.SimpleQueue()
        self._pending: deque[Future] = deque()
        self._made, self._making_seconds = 0, 0.0
        self._waited, self._since = 0.0, time.perf_counter()
        self.processes: list[subprocess.Popen] = []
        try:
            for _ in range(count):
                self.processes.append(_start_worker())
        except OSError as error:
            self.close()
            raise UserError(f"Cannot start a process to make synthetic eyes: {error}.") from error
        for process in self.processes:
            threading.Thread(target=_serve, args=(process, self._jobs), daemon=True).start()
        self._ahead = 2 * count + extra
        self._look_ahead()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Eye:
        """The next eye.

        Raises:
            UserError: a process has ended, killed for its memory, say.
            RuntimeError: an eye could not be made; the message has the traceback.
        """
        while not self._pending:
            if not self._look_ahead():
                raise StopIteration
        start = time.perf_counter()
        eye, seconds = self._pending.popleft().result()
        self._waited += time.perf_counter() - start
        self._made += 1
        self._making_seconds += seconds
        self._look_ahead()
        return eye

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all processes at once."""
        for process in self.processes:
            process.kill()
            self._jobs.put(None)
        for process in self.processes:
            process.wait()

    @property
    def per_second(self) -> float:
        """Eyes that the processes can make a second, by what the eyes taken so far took."""
        return len(self.processes) * self._made / max(self._making_seconds, 1e-9)

    def share_waited(self) -> float:
        """Share of the time since the last call in which `__next__` waited for an eye."""
        now = time.perf_counter()
        share = self._waited / (now - self._since)
        self._waited, self._since = 0.0, now
        return share

    def _look_ahead(self) -> bool:
        """Hands out what is due next; returns whether anything is."""
        is_more = False
        for recipe in itertools.islice(self._recipes, _LOOK):
            is_more = True
            if recipe is not None:
                self._pending.append(Future())
                self._jobs.put((recipe, self._pending[-1]))
            if len(self._pending) >= self._ahead:
                break
        return is_more


def _start_worker() -> subprocess.Popen:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        # One core each.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "s2a_jax.data.synthesis.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the run alone
    )


def _serve(process: subprocess.Popen, jobs: queue.SimpleQueue) -> None:
    """Hands jobs to a process, one after the other, until there are no more or it ends."""
    # An eye fills a pipe many times over: without a thread that reads, each process would wait
    # with a finished eye until that is taken.
    while (job := jobs.get()) is not None:
        recipe, future = job
        try:
            pickle.dump(recipe, process.stdin)
            process.stdin.flush()
            answer, seconds = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            future.set_exception(UserError(_obituary(process.wait())))
            return
        except Exception as error:  # whatever it is: who waits for the eye must not wait for ever
            future.set_exception(error)
            return
        if isinstance(answer, str):
            future.set_exception(RuntimeError(f"No eye could be made of {recipe[0]}:\n{answer}"))
        else:
            future.set_result((answer, seconds))


def _obituary(code: int) -> str:
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return (
        f"A process that makes synthetic eyes ended {how}; was there too little memory? Free some "
        "and give the same command again; a run goes on from its last checkpoint."
    )
