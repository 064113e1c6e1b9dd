"""What environment.json says of how a run ended."""

import json

import pytest

from s2a_jax.analysis.environment import recorded
from s2a_jax.errors import UserError


def test_how_a_run_ended(tmp_path):
    path = tmp_path / "environment.json"
    with recorded(path):
        assert json.loads(path.read_text())["ended"] is None
    for error in (RuntimeError("out of memory\nat length"), KeyboardInterrupt()):
        with pytest.raises(type(error)), recorded(path):
            raise error
    first = json.loads(path.read_text())
    entries = [first, *first["resumed"]]
    assert [entry["failed"] for entry in entries] == [None, "RuntimeError: out of memory", None]
    assert all(entry["ended"] for entry in entries)


def test_the_error_of_the_run_comes_before_that_of_its_record(tmp_path):
    path = tmp_path / "environment.json"
    with pytest.raises(RuntimeError, match="the real one"), recorded(path):
        path.write_text("{")
        raise RuntimeError("the real one")
    path.unlink()
    with pytest.raises(UserError, match=r"environment\.json"), recorded(path):
        path.write_text("{")
