"""Command lines run in this process, and the rules that hold for every refusal."""

import os
import warnings

import pytest

from s2a_jax import cli
from s2a_jax.inference import batches, segmenter


@pytest.fixture
def network(monkeypatch):
    """A network whose probability of a vessel is the intensity, and of the FAZ its square."""
    monkeypatch.setattr(batches, "predict_step", lambda _, x, *, module: {"rv": x, "faz": x**2})
    # It traces the network, which takes longer than the rest of a command.
    monkeypatch.setattr(segmenter, "check_variables", lambda *_: None)


@pytest.fixture
def refused(capfd, tmp_path, monkeypatch):
    """A function that runs a command and checks how it refuses -> the lines of standard error.

    One sentence for one mistake, with exit code 2, or 1 where other files could be used. It names
    the file, field or flag. Neither a traceback nor the warning of another package is printed, and
    nothing new lies in the folder of the test, where every command writes, except in a folder that
    it `keeps` to resume from.
    """
    monkeypatch.chdir(tmp_path)

    def run(arguments, *named, code=2, keeps=None):
        before = _tree(tmp_path)
        with warnings.catch_warnings(record=True) as shown:
            cli.quiet()
            found = cli.run([str(argument) for argument in arguments])
        lines = capfd.readouterr().err.splitlines()
        text = "\n".join(lines)
        assert found == code, text
        assert not shown, [str(one.message) for one in shown]
        assert "Traceback" not in text, text
        for name in named:
            assert name in text, text
        if code == 2:
            # `prepare` lists the files of a data set: a line of its own for each.
            assert text.startswith("error: ") and len(lines) <= 1 + lines[0].endswith(":"), text
            new = _tree(tmp_path) - before
            assert not {path for path in new if path.split(os.sep)[0] != keeps}, new
        return lines

    return run


def _tree(folder):
    """Every file and folder, relative to a folder."""
    return {
        os.path.relpath(os.path.join(place, name), folder)
        for place, folders, names in os.walk(folder)
        for name in (*folders, *names)
    }
