"""Endless synthetic eyes, made ahead by several processes."""

import contextlib
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
"""Arguments of `synthesize_eye`: a seed and parameters."""

_LOOK = 256  # most recipes read at once; an endless series of None must not block


def stream_eyes(
    seed: int, parameters: EyeParameters, start: int = 0, processes: int | None = None
) -> Iterator[Eye]:
    """Yields eyes `start`, `start + 1`, ... of a seed, endlessly and without repetition.

    Args:
        seed: >= 0; eye k is `synthesize_eye((seed, k), parameters)`, whatever the number of
            processes.
        parameters: those of every eye.
        start: number of the first eye, for example where an earlier stream stopped.
        processes: number of processes, each two eyes ahead; None: one per core; 0: eyes are made in
            this process when they are due.
    """
    recipes = (((seed, number), parameters) for number in itertools.count(start))
    if processes == 0:
        yield from itertools.starmap(synthesize_eye, recipes)
    with EyesAhead(recipes, processes) as eyes:
        yield from eyes


class EyesAhead:
    """Iterator over the eyes of `recipes`, in order, that processes make ahead.

    Each process runs the program `worker`. One of `multiprocessing` would import the main program,
    and JAX with it: 0.4 GB and 3 seconds each. The processes end with `close`, and by themselves
    however this process ends.

    Args:
        recipes: eyes to make, possibly endless; None stands for a case of another source and takes
            no time.
        processes: number of processes; None: one for each core that this process may use.
        extra: eyes ahead beyond two a process; as many as are usually taken at once.

    Attributes:
        processes: the running processes.
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
        self._threads: list[threading.Thread] = []
        try:
            for _ in range(count):
                self.processes.append(_start_worker())
        except OSError as error:
            self.close()
            raise UserError(f"Cannot start a process to make synthetic eyes: {error}.") from error
        for process in self.processes:
            thread = threading.Thread(target=_serve, args=(process, self._jobs), daemon=True)
            thread.start()
            self._threads.append(thread)
        self._ahead = 2 * count + extra
        self._look_ahead()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Eye:
        """The next eye.

        Raises:
            UserError: a process has ended, for example killed for lack of memory.
            RuntimeError: making the eye failed; the message has the traceback.
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
        """Kills all processes."""
        for process in self.processes:
            process.kill()
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        for process in self.processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # the process has not read everything
                    pipe.close()

    @property
    def per_second(self) -> float:
        """Eyes that the processes can make per second, estimated from the eyes taken so far."""
        return len(self.processes) * self._made / max(self._making_seconds, 1e-9)

    def share_waited(self) -> float:
        """Share of the time since the last call that `__next__` spent waiting for eyes."""
        now = time.perf_counter()
        share = self._waited / (now - self._since)
        self._waited, self._since = 0.0, now
        return share

    def _look_ahead(self) -> bool:
        """Hands out the next recipes; returns whether there are any."""
        any_left = False
        for recipe in itertools.islice(self._recipes, _LOOK):
            any_left = True
            if recipe is not None:
                self._pending.append(Future())
                self._jobs.put((recipe, self._pending[-1]))
            if len(self._pending) >= self._ahead:
                break
        return any_left


def _start_worker() -> subprocess.Popen:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        # One thread each: the processes share the cores.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "s2a_jax.data.synthesis.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches the run alone
    )


def _serve(process: subprocess.Popen, jobs: queue.SimpleQueue) -> None:
    """Passes jobs to a process one by one until there are no more or the process ends."""
    # An eye fills a pipe many times over: without this thread, which reads, each process would
    # block with a finished eye until someone takes it.
    while (job := jobs.get()) is not None:
        recipe, future = job
        try:
            pickle.dump(recipe, process.stdin)
            process.stdin.flush()
            answer, seconds = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            future.set_exception(UserError(_obituary(process.wait())))
            return
        except Exception as error:  # passed on, or whoever waits for the eye would wait forever
            future.set_exception(error)
            return
        if isinstance(answer, str):
            future.set_exception(
                RuntimeError(f"Making the eye of seed {recipe[0]} failed:\n{answer}")
            )
        else:
            future.set_result((answer, seconds))


def _obituary(code: int) -> str:
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return (
        f"A process that makes synthetic eyes ended {how}; was there too little memory? Free some "
        "and run the same command again; a run resumes from its last checkpoint."
    )
