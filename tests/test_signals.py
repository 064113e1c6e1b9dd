"""Signals are answered at once, also while the main thread computes outside of Python."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from s2a_jax import signals
from s2a_jax.errors import FullDiskError, UserError
from s2a_jax.files import written_whole

BUSY = """
import contextlib, ctypes, sys, threading
from s2a_jax import signals

def work():
    promise = sys.argv[1]
    with signals.Interrupt(promise) if promise else contextlib.nullcontext():
        lock, library = ctypes.create_string_buffer(64), ctypes.CDLL(None)
        library.pthread_mutex_lock(lock)
        threading.Timer(0.3, print, ["busy"], {"flush": True}).start()
        library.pthread_mutex_lock(lock)  # never returns, nor lets a handler run

signals.end_at_once()
signals.raise_stopped()
signals.leave(signals.run_program(work))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("promise", ["The run will stop.", ""])
def test_a_busy_program_answers_and_can_be_stopped(number, promise):
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, promise], cwd=Path(__file__).parent.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "busy\n"
    process.send_signal(number)
    first = process.stderr.readline()
    assert first.strip() == promise or (not promise and first.startswith("Stopping as soon as"))
    assert process.poll() is None
    process.send_signal(number)
    _, rest = process.communicate(timeout=20)
    assert (process.returncode, rest.splitlines()) == (
        128 + number,
        ["Stopped at once; what was complete before stays."],
    )


def test_a_full_disk_is_one_sentence_that_names_the_file(tmp_path, capsys):
    def whole():
        with written_whole(tmp_path / "eye.png") as partial:
            partial.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    def bare():
        raise OSError(errno.EDQUOT, "Disk quota exceeded", tmp_path / "eye.png")

    def foreign():  # as safetensors and tensorstore
        with written_whole(tmp_path / "eye.png"):
            raise OSError("I/O error: No space left on device (os error 28)")

    for work in (whole, bare, foreign):
        assert signals.run_program(work) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: Cannot write {tmp_path / 'eye.png'}: the disk is full")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError) as raised, written_whole(tmp_path / "eye.png"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert not isinstance(raised.value, FullDiskError) and raised.value.exit_code == 2
    with pytest.raises(OSError, match="Input/output"):  # no full disk: a bug, or a broken one
        signals.run_program(lambda: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output")))
