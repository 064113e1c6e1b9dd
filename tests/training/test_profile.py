"""Traces of training steps."""

import gzip
import io
import json

import jax
import jax.numpy as jnp
import pytest
from rich.console import Console

from s2a_jax.training.profile import Traced


@pytest.mark.parametrize(("calls", "traced"), [(15, range(22, 32)), (4, range(22, 25))])
def test_ten_steps_after_the_first_are_traced(calls, traced, tmp_path):
    said = io.StringIO()
    update = Traced(jax.jit(lambda x: 2 * x), 20, tmp_path, Console(file=said, width=1000))
    x = jnp.float32(1)
    for _ in range(calls):
        x = update(x)
    update.close()
    assert x == 2.0**calls
    (file,) = tmp_path.rglob("*.trace.json.gz")
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    steps = [int(event["args"]["step_num"]) for event in events if event.get("name") == "train"]
    assert steps == [*traced]
    assert f"Trace of steps {traced[0]} to {traced[-1]}: {file} opens in" in said.getvalue()


def test_a_run_of_one_step_leaves_no_trace(tmp_path):
    said = io.StringIO()
    update = Traced(lambda x: x, 20, tmp_path, Console(file=said))
    update(1)
    update.close()
    assert said.getvalue() == "--profile: there was no second step to trace.\n"
    assert not [*tmp_path.iterdir()]


def test_a_trace_that_the_profiler_did_not_write_is_no_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *_, **__: None)
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: None)
    said = io.StringIO()
    update = Traced(lambda x: x, 0, tmp_path, Console(file=said, width=1000))
    for _ in range(3):
        update(jnp.float32(1))
    update.close()
    assert said.getvalue() == f"--profile: no trace was written to {tmp_path}.\n"
