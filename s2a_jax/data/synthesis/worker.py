"""Program of a process that makes eyes; `stream` starts it.

    python -m s2a_jax.data.synthesis.worker

It reads pickled (seed, parameters) from standard input and answers each on standard output with a
pickled (eye, seconds taken), or (traceback, seconds). It ends with its input, also if the process
that started it is killed.
"""

import contextlib
import os
import pickle
import signal
import sys
import time
import traceback

from s2a_jax.data.synthesis.eye import synthesize_eye


def main() -> None:
    """Makes eyes until standard input ends."""
    # Signals are for the run, which may still need eyes to finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(10)  # processes that feed the accelerator come first
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print is not an answer
    while True:
        try:
            seed, parameters = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        start = time.perf_counter()
        try:
            answer = synthesize_eye(seed, parameters)
        except Exception:
            answer = traceback.format_exc()
        pickle.dump((answer, time.perf_counter() - start), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # nobody is left to answer
        main()
