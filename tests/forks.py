"""Run command lines in forks of one process that has imported everything.

Imports take about three seconds of `python main.py`, and most tests of command lines only check
that a flag is refused. A fork has its own memory, streams and exit code like any process, but does
not show whether a command imports all it needs; tests/test_wheel.py (train, predict, measure,
report), test_notebooks.py and those of the page start new processes.

This file is also the program of the server: for each line of JSON on its standard input, it forks
for each of the command lines there, and answers with the processes' numbers, then with the exit
codes of all.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
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
        self.server = self.started = None

    def run(self, *arguments, seconds=SECONDS):
        """Run `python ARGUMENTS` in the root of the repository, `seconds` at most."""
        return self.start(arguments, seconds=seconds).wait()[0]

    def start(self, *commands, seconds=SECONDS, environment=None):
        """Start a `python ARGUMENTS` for each list of arguments; what still runs is killed."""
        if self.server is None:
            self.server = subprocess.Popen(
                [sys.executable, __file__, str(self.root), *self.imported], cwd=self.root,
                env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                bufsize=0,  # `have_ended` sees every line that nobody has read
            )  # fmt: skip
        if self.started is not None:
            self.started.end()  # a test that failed has not waited
        self.started = Forked(self.server, commands, seconds, environment or {})
        return self.started

    def close(self):
        """End the server."""
        if self.server is not None:
            self.server.kill()  # it has nothing to clean up
            self.server.communicate()


class Forked:
    """Programs that run at once; `pids` are their processes, for signals."""

    def __init__(self, server, commands, seconds, environment):
        self.server, self.folder = server, tempfile.TemporaryDirectory()
        self.commands = [[str(argument) for argument in command] for command in commands]
        self.streams = [
            [str(Path(self.folder.name) / f"{name}{i}") for name in ("stdout", "stderr")]
            for i in range(len(commands))
        ]
        jobs = [
            {"arguments": command, "streams": streams, "seconds": seconds}
            for command, streams in zip(self.commands, self.streams, strict=True)
        ]
        server.stdin.write(json.dumps({"jobs": jobs, "environment": environment}).encode() + b"\n")
        self.pids, self.codes = json.loads(server.stdout.readline()), None

    def signal(self, number, index=0):
        """Send a signal to one of the processes, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[index], number)

    def end(self):
        """Kill what still runs; nothing after `wait`."""
        if self.codes is None:
            for index in range(len(self.pids)):
                self.signal(signal.SIGKILL, index)
            self.codes = json.loads(self.server.stdout.readline())
            self.folder.cleanup()

    def have_ended(self):
        """Whether all have."""
        return bool(select.select([self.server.stdout], [], [], 0)[0])

    def wait(self):
        """Wait until all have ended -> a `subprocess.CompletedProcess` of each."""
        self.codes = json.loads(self.server.stdout.readline())
        with self.folder:
            return [
                subprocess.CompletedProcess(command, code, *(Path(p).read_text() for p in streams))
                for command, code, streams in zip(
                    self.commands, self.codes, self.streams, strict=True
                )
            ]


def serve():
    """Fork for each job that standard input names; in a fork, return or raise as its program."""
    sys.path[0], *imported = sys.argv[1:]
    collect_seldom()
    for name in imported:
        importlib.import_module(name)
    gc.freeze()  # keeps the forks' garbage collectors from copying all this memory
    for line in sys.stdin:
        group = json.loads(line)
        children = []
        for job in group["jobs"]:
            children.append(os.fork())
            if not children[-1]:
                os.environ.update(group["environment"])
                return become(**job)
        print(json.dumps(children), flush=True)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)


def collect_seldom():
    """Collect garbage seldom: tracing makes many objects, nearly none of which is garbage."""
    gc.set_threshold(100_000, 20, 10)


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
