"""The command line: help, flags, fields, and signals while programs import."""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import s2a_jax
from s2a_jax import cli
from s2a_jax.commands import train
from s2a_jax.config.load import load_config
from s2a_jax.errors import UserError
from s2a_jax.runs.workdir import Workdir

ROOT = Path(__file__).parent.parent


def test_help(capsys):
    flags = ["--workdir=nowhere", "--help"]
    assert cli.run_command(["train", *flags], program="python main.py") == 0
    output = capsys.readouterr().out
    assert all(f"--{name} " in output for name in ("config", "workdir", "mode"))
    assert all(f"\n  python main.py {rest}" in output for rest in ("--config", "--mode=evaluate"))
    assert max(map(len, output.splitlines())) <= 100


def test_every_command_has_help(capsys):
    assert cli.run_command(["--help"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("usage: s2a-jax COMMAND [flags]\n")
    for name in cli.COMMANDS:
        assert f"\n  {name} " in listed
        assert cli.run_command([name, "--help"]) == 0
        output = capsys.readouterr().out
        assert f"usage: s2a-jax {name}" in output
        assert "%%" not in output and "%(" not in output
        assert ("2 to 6.5 mm" in " ".join(output.split())) == (name == "prepare")


def test_help_names_the_program_as_it_was_called():
    command = [sys.executable, "-m", "s2a_jax", "measure", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("usage: python -m s2a_jax measure ["), done.stderr


def test_version(capsys):
    assert cli.run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"s2a-jax {s2a_jax.__version__}\n"


@pytest.fixture
def workdir(tmp_path):
    """A run with a checkpoint."""
    config = load_config("default")
    config.train.epochs = 7
    workdir = Workdir(tmp_path / "run")
    workdir.claim(config, load_config("default"))
    (workdir.checkpoints / "3").mkdir(parents=True)
    return workdir


def _evaluate(workdir, *flags):
    options = argparse.Namespace(mode="evaluate", config=None, fields=flags)
    return train.read_config(options, workdir)


def test_a_run_is_evaluated_with_fields_of_its_own_changed(workdir):
    flags = ("--config.eval.protocol", "otsu", "--config.eval.um_per_px=12.5")
    config = _evaluate(workdir, *flags)
    assert (config.train.epochs, config.eval.protocol, config.eval.um_per_px) == (7, "otsu", 12.5)
    workdir.check(config, trains=False)
    with pytest.raises(UserError, match=r"config\.train\.epochs=7, not 8"):
        workdir.check(_evaluate(workdir, "--config.train.epochs=8"), trains=False)
    with pytest.raises(UserError, match=r"eval\.protocl: .* did you mean config\.eval\.protocol\?"):
        _evaluate(workdir, "--config.eval.protocl=otsu")


def test_a_truncated_configuration_is_named(workdir):
    workdir.config.write_text(workdir.config.read_text()[:100])
    with pytest.raises(UserError, match=r"run/config\.json cannot be used"):
        _evaluate(workdir)
    with pytest.raises(UserError, match=r"run/config\.json cannot be used"):
        workdir.check(load_config("default"))


AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.{number})
            except KeyboardInterrupt:  # as a package might
                pass
sys.meta_path.insert(0, Finder())
from s2a_jax.cli import main
main({arguments})
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("jax", ["train", "--config=configs/synthetic.py", "--workdir=nowhere"]),
        ("jax", ["predict", "--weights=none", "--out={folder}/out", "{folder}"]),
        ("numpy", ["prepare", "synthetic", "--to={folder}"]),
    ],
)
def test_a_signal_while_importing(tmp_path, number, module, arguments):
    Image.new("L", (32, 32)).save(tmp_path / "eye.png")
    given = [text.format(folder=tmp_path) for text in arguments]
    code = AT_IMPORT.format(number=number, module=module, arguments=given)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (128 + getattr(signal, number), "")
    assert done.stderr == "Stopped before anything began.\n"


STOPPED = """
import os, signal
from s2a_jax import cli
from s2a_jax.commands import report
def run(options):
    {stop}
report.run = run
cli.main(["report", "--workdir=nowhere"])
"""


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        ("raise KeyboardInterrupt", 130),
        ("os.kill(os.getpid(), signal.SIGINT)", 130),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143),
    ],
)
def test_a_stopped_command_exits_with_its_signal(stop, code):
    done = subprocess.run(
        [sys.executable, "-c", STOPPED.format(stop=stop)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == code
    assert done.stderr.startswith("Stopped;") and len(done.stderr.splitlines()) == 1


SWALLOWED = """
import gc, os, signal, time
from s2a_jax import signals
def callback(phase, _):
    if phase == "stop" and not sent:
        sent.append(True)
        os.kill(os.getpid(), signal.SIGTERM)
def work():
    gc.collect()
    for _ in range(1000):
        time.sleep(0.01)
sent = []
signals.end_at_once()
signals.raise_stopped()
gc.callbacks.append(callback)  # as JAX has one
signals.leave(signals.run_program(work))
"""


def test_a_signal_that_the_garbage_collector_swallows_comes_again():
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (143, "Stopped.\n")


def test_what_is_said_of_a_run_that_is_stopped_at_once(workdir):
    assert "results may be incomplete" in train.stopped_sentence("evaluate", workdir)
    assert "last checkpoint is complete" in train.stopped_sentence("train", workdir)
    (workdir.checkpoints / "3").rename(workdir.checkpoints / "3.orbax-checkpoint-tmp-1")
    assert "nothing was saved yet" in train.stopped_sentence("train", workdir)
