"""An endless stream of synthetic eyes, made ahead by several processes."""

import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from s2a_jax.data.synthesis.eye import Eye, synthesize_eye
from s2a_jax.data.synthesis.parameters import EyeParameters


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
    make = partial(_numbered_eye, seed, parameters)
    if processes == 0:
        yield from map(make, itertools.count(start))
    processes = processes or os.cpu_count() or 1
    # Fresh processes: a fork of one in which JAX runs its threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        numbers = itertools.count(start)
        pending = deque(pool.submit(make, next(numbers)) for _ in range(2 * processes))
        try:
            while True:
                pending.append(pool.submit(make, next(numbers)))
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _numbered_eye(seed: int, parameters: EyeParameters, number: int) -> Eye:
    return synthesize_eye((seed, number), parameters)
