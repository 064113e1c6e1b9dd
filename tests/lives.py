"""A run that can be hurt: its process, its workdir, its data and its disk."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import forks

SECONDS = forks.SECONDS = 900  # the longest that a run may take, on a busy machine


class LossError(Exception):
    """Something that must not happen."""


class Child:
    """A fork that trains; `output` is what it has printed so far."""

    def __init__(self, arguments, folder, *, file_size=None):
        self.streams = [str(folder / name) for name in ("stdout", "stderr")]
        for stream in self.streams:
            Path(stream).write_bytes(b"")
        sys.stdout.flush()
        self.pid, self.code = os.fork(), None
        if not self.pid:
            self._train(arguments, file_size)

    def _train(self, arguments, file_size):
        code = 70
        try:
            if file_size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
            forks.become(["main.py", *arguments], self.streams, forks.SECONDS)
        except SystemExit as done:
            code = done.code or 0
        except BaseException:
            traceback.print_exc()
        finally:  # never back into the program that has forked
            with contextlib.suppress(OSError):  # no room for them either
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    @property
    def output(self):
        return "".join(Path(stream).read_text(errors="replace") for stream in self.streams)

    def has_ended(self):
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, until=lambda: False, seconds=SECONDS):
        """Waits for the end, or for a condition; returns whether it has ended."""
        deadline = time.monotonic() + seconds
        while not self.has_ended() and not until():
            if time.monotonic() > deadline:
                self.kill()
                raise LossError(f"no end within {seconds} s: {self.output[-300:]!r}")
            time.sleep(0.01)
        return self.has_ended()

    def kill(self, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            if not self.has_ended():
                os.kill(self.pid, number)

    def check(self, *codes, words=()):
        """The exit code must be one of these, and the output hold these words, but no traceback."""
        self.wait()
        text = " ".join(self.output.split())
        missing = [word for word in words if word not in text]
        if self.code not in codes or "Traceback" in text or missing:
            raise LossError(f"exit code {self.code}, without {missing}: {text[-600:]!r}")


class Life:
    """One run: its workdir, its data, and whether it ran on other devices for a while."""

    def __init__(self, folder, flags, rng, data=None, seconds=None):
        self.folder, self.flags, self.rng, self.seconds = folder, list(flags), rng, seconds
        self.is_exact, self.mounted = True, None
        folder.mkdir()
        if data is not None:
            self.data = shutil.copytree(data, folder / "data")
            self.flags.append(f"--config.data.root={self.data}")
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.workdir = self.disk / "run"

    def mount(self):
        """Gives the workdir a file system of its own, if this machine lets it have one."""
        if os.geteuid() or not shutil.which("mount"):
            return
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "chaos", self.disk], capture_output=True
        )
        self.mounted = self.disk if done.returncode == 0 else None

    def remount(self, option):
        subprocess.run(["mount", "-o", f"remount,{option}", self.disk], check=True)

    def close(self):
        if self.mounted:
            subprocess.run(["umount", self.disk], check=True)
        shutil.rmtree(self.folder)

    def start(self, *flags, **limits):
        arguments = [*self.flags, "--workdir", str(self.workdir), *flags]
        return Child(arguments, Path(tempfile.mkdtemp(dir=self.folder)), **limits)

    def pause(self, child):
        """Waits for a random time, or until a random row is written."""
        start, more = time.monotonic(), self.rng.uniform(0, 0.2)
        if self.seconds and self.rng.random() < 0.3:
            more = self.rng.uniform(0, self.seconds)
        else:
            lines = self.lines() + self.rng.randint(1, 4)
            child.wait(lambda: self.lines() >= lines)
        until = time.monotonic() + more
        child.wait(lambda: time.monotonic() > until)
        return f"after {time.monotonic() - start:.1f} s"

    def lines(self):
        file = self.workdir / "metrics.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def checkpoints(self):
        folder = self.workdir / "checkpoints"
        return [p for p in folder.iterdir() if p.name.isdecimal()] if folder.is_dir() else []
