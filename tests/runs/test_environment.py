"""How a run ended, as environment.json has it."""

import json

import pytest

from s2a_jax.runs.environment import recorded


def test_how_a_run_ended(tmp_path):
    path = tmp_path / "environment.json"
    with recorded(path, pytest.fail):
        assert json.loads(path.read_text())["ended"] is None
    for error in (RuntimeError("out of memory\nat length"), KeyboardInterrupt()):
        with pytest.raises(type(error)), recorded(path, pytest.fail):
            raise error
    first = json.loads(path.read_text())
    entries = [first, *first["resumed"]]
    assert [entry["failed"] for entry in entries] == [None, "RuntimeError: out of memory", None]
    assert all(entry["ended"] for entry in entries)


def test_a_note_that_cannot_be_written_fails_no_run(tmp_path):
    path, warnings = tmp_path / "environment.json", []
    with pytest.raises(RuntimeError, match="the real one"), recorded(path, warnings.append):
        path.write_text("{")
        raise RuntimeError("the real one")
    path.unlink()
    with recorded(path, warnings.append):
        path.unlink()
    assert len(warnings) == 2
    assert all(f"could not be noted in {path}" in text for text in warnings)
