"""Run command lines in forks of one process that has imported everything.

Imports take about three seconds of `python main.py`, and most tests of command lines only check
that a flag is refused. A fork has its own memory, streams and exit code like any process, but does
not show whether a command imports all it needs; so tests of successful runs also start a few new
processes.

This file is also the program of the server: it forks for each line of JSON on its standard input
and answers with the exit code.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS = 280  # time limit of a command
# What the programs import, but no module that runs as a program. None of these starts a device.
IMPORTED = (
    "parity.sides",
    "parity.stages",
    "s2a_jax.cli",
    "s2a_jax.commands.compare",
    "s2a_jax.commands.convert",
    "s2a_jax.commands.evaluate",
    "s2a_jax.commands.export",
    "s2a_jax.commands.measure",
    "s2a_jax.commands.predict",
    "s2a_jax.commands.prepare",
    "s2a_jax.commands.report",
    "s2a_jax.commands.train",
)


class Forks:
    """Client of the server, which starts with the first command."""

    def __init__(self, environment, root=ROOT, imported=IMPORTED):
        # Only a process with a single thread forks safely; OpenBLAS would start more.
        self.environment = environment | {"OPENBLAS_NUM_THREADS": "1"}
        self.root, self.imported = root, imported
        self.server = None

    def run(self, *arguments, seconds=SECONDS):
        """Run `python ARGUMENTS` in the root of the repository, `seconds` at most."""
        if self.server is None:
            self.server = subprocess.Popen(
                [sys.executable, __file__, str(self.root), *self.imported], cwd=self.root,
                env=self.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        arguments = [str(argument) for argument in arguments]
        with tempfile.TemporaryDirectory() as folder:
            streams = [Path(folder) / name for name in ("stdout", "stderr")]
            job = {
                "arguments": arguments,
                "streams": [str(path) for path in streams],
                "seconds": seconds,
            }
            self.server.stdin.write(json.dumps(job) + "\n")
            self.server.stdin.flush()
            code = int(self.server.stdout.readline())
            return subprocess.CompletedProcess(
                arguments, code, *(path.read_text() for path in streams)
            )

    def close(self):
        """End the server."""
        if self.server is not None:
            self.server.kill()  # it has nothing to clean up
            self.server.communicate()


def serve():
    """Fork for each line of standard input; in a fork, return or raise as its program does."""
    sys.path[0], *imported = sys.argv[1:]
    for name in imported:
        importlib.import_module(name)
    gc.freeze()  # keeps the forks' garbage collectors from copying all this memory
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return become(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def become(arguments, streams, seconds):
    """Run a program in this process."""
    for number, name in enumerate((os.devnull, *streams)):
        file = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    signal.alarm(seconds)  # its signal ends the process
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve()
