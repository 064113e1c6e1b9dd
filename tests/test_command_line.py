"""main.py's flags, and signals while programs import."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import main as program
from configs import default
from configs.command_line import parse
from s2a_jax import cli
from s2a_jax.comparison.settings import field_hint
from s2a_jax.errors import Stopped, UserError
from s2a_jax.starting import interrupts
from s2a_jax.training.workdir import Workdir

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help(capsys, flag):
    assert program.main(["main.py", "--workdir=nowhere", flag]) == 0
    output = capsys.readouterr().out
    assert all(f"--{name} " in output for name in ("config", "workdir", "mode"))
    assert all(f"\n  python main.py {rest}" in output for rest in ("--config", "--mode=evaluate"))
    assert max(map(len, output.splitlines())) <= 100


@pytest.fixture
def workdir(tmp_path):
    """A run with a checkpoint."""
    config = default.get_config()
    config.train.epochs = 7
    workdir = Workdir(tmp_path / "run", config)
    workdir.claim(config)
    (workdir.checkpoints / "3").mkdir(parents=True)
    return workdir


def _evaluate(workdir, *flags):
    return parse(["main.py", "--mode=evaluate", f"--workdir={workdir.path}", *flags])


def test_a_run_is_evaluated_with_fields_of_its_own_changed(workdir):
    flags = ("--config.eval.protocol", "otsu", "--config.eval.um_per_px=12.5")
    config = _evaluate(workdir, *flags).config
    assert (config.train.epochs, config.eval.protocol, config.eval.um_per_px) == (7, "otsu", 12.5)
    workdir.check(config)
    with pytest.raises(UserError, match=r"config\.train\.epochs=7, not 8"):
        workdir.check(_evaluate(workdir, "--config.train.epochs=8").config)
    with pytest.raises(UserError, match=r"eval\.protocl: .* did you mean config\.eval\.protocol\?"):
        _evaluate(workdir, "--config.eval.protocl=otsu")


def test_a_truncated_configuration_is_named(workdir):
    workdir.config.write_text(workdir.config.read_text()[:100])
    with pytest.raises(UserError, match=r"run/config\.json cannot be read"):
        _evaluate(workdir)
    with pytest.raises(UserError, match=r"run/config\.json cannot be read"):
        workdir.check(default.get_config())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("config.train.epoch", "config.train.epochs"),
        ("config.train.learning_rate", "config.optimizer.learning_rate"),
        ("config.batch_size", "config.eval.batch_size or config.train.batch_size"),
        ("config.optimizer.learn_rate", "config.optimizer.learning_rate"),
        ("config.train.steps", None),
        ("config.model.depth", None),
    ],
)
def test_what_may_have_been_meant(given, meant):
    hint = field_hint(default.get_config(), given, "config.")
    assert hint == (f"did you mean {meant}?" if meant else "configs/default.py lists all fields.")


AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.{number})
            except KeyboardInterrupt:  # as a package might
                pass
from s2a_jax.starting import interrupts
interrupts()
sys.meta_path.insert(0, Finder())
from {program} import main
main({arguments})
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("name", "module", "arguments"),
    [
        ("main", "jax", ["main.py", "--config=configs/synthetic.py", "--workdir=nowhere"]),
        ("main", "absl", ["main.py", "--help"]),
        ("s2a_jax.__main__", "numpy", None),
        ("s2a_jax.comparison.child", "jax", None),
        ("s2a_jax.cli", "jax", ["predict", "--weights=none", "--out={folder}/out", "{folder}"]),
        ("s2a_jax.cli", "jax", ["evaluate", "--weights=none", "--data={folder}"]),
    ],
)
def test_a_signal_while_importing(tmp_path, number, name, module, arguments):
    Image.new("L", (32, 32)).save(tmp_path / "eye.png")
    given = [text.format(folder=tmp_path) for text in arguments] if arguments else ""
    code = AT_IMPORT.format(number=number, program=name, module=module, arguments=given)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (128 + getattr(signal, number), "")
    assert done.stderr == "Stopped before anything began.\n"


def test_a_signal_that_the_garbage_collector_would_swallow():
    def _xla_gc_callback(*_):
        gc.callbacks.remove(_xla_gc_callback)
        os.kill(os.getpid(), signal.SIGTERM)

    previous = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    gc.callbacks.append(_xla_gc_callback)
    try:
        interrupts()
        with pytest.raises(Stopped) as raised:
            gc.collect()
            for _ in range(1000):  # a signal just before a sleep waits for its end
                time.sleep(0.01)
        assert raised.value.code == 143
    finally:
        for n, handler in previous.items():
            signal.signal(n, handler)


def test_jax_has_a_gc_callback_of_the_name_that_is_looked_for():
    import jax

    jax.jit(lambda x: x + 1)(1)
    assert "_xla_gc_callback" in [getattr(one, "__name__", "") for one in gc.callbacks]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Stopped(signal.SIGTERM)])
def test_a_stopped_command_tells_the_signal(capsys, monkeypatch, stop):
    def run(_):
        raise stop

    code = 143 if isinstance(stop, Stopped) else 130
    monkeypatch.setattr(cli.report, "run", run)
    assert cli.main(["report", "--workdir=nowhere"]) == code
    monkeypatch.setattr(program, "_run", run)
    assert program.main(["main.py", "--config=configs/synthetic.py", "--workdir=nowhere"]) == code
    assert capsys.readouterr().err.count("Stopped") == 2


def test_what_is_said_of_a_run_that_is_stopped_at_once(workdir):
    request = _evaluate(workdir)
    assert "results may be incomplete" in program._stopped(request)
    assert "last checkpoint is complete" in program._stopped(request._replace(mode="train"))
    (workdir.checkpoints / "3").rename(workdir.checkpoints / "3.orbax-checkpoint-tmp-1")
    assert "nothing was saved yet" in program._stopped(request._replace(mode="train"))
