"""The order of a run, with a step that only counts: rows, validations, checkpoints, signals."""

import signal
from types import SimpleNamespace

import pytest

from s2a_jax import processes
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.console import make_console
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training import loop
from s2a_jax.training.loop import _Run, agreed_signal

EPOCH, EPOCHS = 3, 5  # steps, of which every fourth is logged and every second epoch validated
SCORES = {6: 0.5, 12: 0.4, 15: 0.6}


class State(SimpleNamespace):
    def variables(self):
        return f"variables{self.step}"


class Checkpoints:
    """Keeps what is saved."""

    def __init__(self):
        self.saved, self.latest_step, self.folder = [], None, "checkpoints"

    @property
    def best(self):
        scored = [(step, score) for step, _, score in self.saved if score is not None]
        return max(scored, key=lambda pair: pair[1], default=None)

    def save(self, step, state, meta, score):
        assert state.step == step and meta == {"network": "counting"}
        self.saved.append((step, meta, score))
        self.latest_step = step


class Rows:
    """Stands for the writer of metrics.jsonl."""

    def __init__(self, *_):
        self.rows, self.dropped, self.last_step = [], 0, 0

    def at(self, step):
        self.last_step = step
        return self

    def write(self, step, values):
        self.rows.append((step, values))

    def close(self):
        pass


@pytest.fixture
def made(monkeypatch, tmp_path):
    """A run, and what it does, by kind."""
    done = SimpleNamespace(rows=Rows(), validated=[], drawn=[], interrupt=SimpleNamespace())
    done.interrupt.signal, done.stop_at, done.rows_before = None, None, []

    def update(state, batch):
        assert batch == state.step  # batch k is the one of step k, after a resume as well
        done.rows_before.append(len(done.rows.rows))
        if state.step + 1 == done.stop_at:
            done.interrupt.signal = signal.SIGTERM
        loss = {"loss": 100.0 + batch, "loss_rv": 1.0, "loss_faz": 0.0, "alpha": 0.5}
        return State(step=state.step + 1), loss | {"grad_norm": 1.0, "masks_rv": 4, "masks_faz": 0}

    def count_cases(evaluator, variables, cases):
        step = int(variables.removeprefix("variables"))
        done.validated.append((step, cases))
        return SimpleNamespace(
            score=lambda: SCORES[step], tasks=lambda: ["rv"], mean=lambda task, name: SCORES[step]
        )

    def draw_overlays(evaluator, variables, cases, folder, *, number, threshold):
        done.drawn.append((variables, cases, number, threshold))

    for name, stand_in in {
        "batches": lambda training, start: iter(range(start, 1000)),
        "count_cases": count_cases,
        "draw_overlays": draw_overlays,
        "warn_if_slow": lambda *_: None,
        "MetricWriter": lambda metrics, events, start: done.rows.at(start),
    }.items():
        monkeypatch.setattr(loop, name, stand_in)
    training = SimpleNamespace(
        step=update, steps_per_epoch=EPOCH, epochs=EPOCHS, total_steps=EPOCH * EPOCHS,
        schedule=lambda step: 0.1 * step, mesh=SimpleNamespace(size=1),
        abstract=SimpleNamespace(params={}), stream=SimpleNamespace(eye_speed=dict),
    )  # fmt: skip
    setup = SimpleNamespace(
        training=training,
        dataset=SimpleNamespace(val="val", sources={"main": None}),
        evaluator=SimpleNamespace(
            description=SimpleNamespace(_asdict=lambda: {"network": "counting"})
        ),
    )
    config = resolve(load_config("default"))
    config.eval.update({"every_epochs": 2, "overlays": 3, "threshold": 0.25})
    config.log.every_steps = 4
    done.checkpoints = Checkpoints()
    done.run = _Run(config, setup, done.checkpoints, Workdir(tmp_path), make_console(quiet=True))
    return done


def train(made, start=0):
    return made.run.train(State(step=start), start, made.interrupt, False)


def test_a_run_validates_saves_and_logs_when_due(made):
    assert train(made) is None
    assert made.checkpoints.saved == [
        (step, {"network": "counting"}, score) for step, score in SCORES.items()
    ]
    assert made.validated == [(6, "val"), (12, "val"), (15, "val")]
    # Those that are at least as good as the best so far.
    assert made.drawn == [("variables6", "val", 3, 0.25), ("variables15", "val", 3, 0.25)]
    # Every fourth step and every validated one has a row, and each validation.
    assert [step for step, _ in made.rows.rows] == [4, 6, 6, 8, 12, 12, 15, 15]
    numbers, validation = made.rows.rows[1][1], made.rows.rows[2][1]
    assert validation == {"val_rv_dice": 0.5, "val_score": 0.5}
    assert numbers["loss"] == 105 and numbers["epoch"] == 1  # of step 6, the last of epoch 1
    assert numbers["learning_rate"] == pytest.approx(0.5)
    assert numbers["loss_rv"] == 1 and "loss_faz" not in numbers  # no case had a mask
    assert made.rows.rows[3][1]["loss"] == 107
    # Those of steps 4 and 8 are fetched one interval late, here by the validation that follows.
    assert made.rows_before == [0] * 6 + [3] * 6 + [6] * 3


def test_a_resumed_run_goes_on_with_the_next_batch(made):
    assert train(made, start=7) is None
    assert [step for step, _, _ in made.checkpoints.saved] == [12, 15]
    assert made.rows.rows[0][1]["loss"] == 107 and made.rows.rows[0][0] == 8


@pytest.mark.parametrize(
    ("stop_at", "saved", "stopped_by"),
    [
        (7, [(6, 0.5), (7, None)], signal.SIGTERM),
        (6, [(6, 0.5)], signal.SIGTERM),  # validated and saved already
        (15, [(6, 0.5), (12, 0.4), (15, 0.6)], signal.SIGTERM),
    ],
)
def test_a_signal_saves_once_and_stops(made, stop_at, saved, stopped_by):
    made.stop_at = stop_at
    assert train(made) == stopped_by
    assert [(step, score) for step, _, score in made.checkpoints.saved] == saved
    assert made.rows.rows[-1][0] == max(step for step in SCORES if step <= stop_at)


def test_processes_agree_on_signals_at_tenth_steps_and_validations(monkeypatch):
    assert agreed_signal(signal.SIGINT, 7, False) == signal.SIGINT  # of one process, at once
    asked = []
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "gathered", lambda mine: asked.append(mine) or ["", "SIGTERM"])
    assert agreed_signal(signal.SIGINT, 7, False) is None and asked == []
    assert agreed_signal(None, 10, False) == agreed_signal(None, 7, True) == signal.SIGTERM
    agreed_signal(signal.SIGINT, 20, False)
    assert asked == ["", "", "SIGINT"]
    monkeypatch.setattr(processes, "gathered", lambda mine: ["", ""])
    assert agreed_signal(None, 10, False) is None
