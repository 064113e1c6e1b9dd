"""Exit codes of a program's work, and signals to this very process."""

import signal

import pytest

from s2a_jax import signals
from s2a_jax.errors import NonFiniteLossError, Stopped, UserError
from s2a_jax.signals import Interrupt, leave, run_program


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (UserError("wrong"), 2, "error: wrong\n"),
        (NonFiniteLossError("diverged"), 1, "error: diverged\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (Stopped(signal.SIGTERM), 143, "Stopped.\n"),
    ],
)
def test_a_mistake_and_a_stop_are_a_sentence_and_a_code(error, code, shown, capsys):
    assert run_program(lambda: fail(error)) == code
    assert capsys.readouterr() == ("", shown)


def test_work_returns_its_code(capsys):
    assert [run_program(lambda code=code: code) for code in (None, 0, 3)] == [0, 0, 3]
    assert run_program(lambda: fail(KeyboardInterrupt()), lambda: "Saved.") == 130
    assert capsys.readouterr() == ("", "Saved.\n")
    with pytest.raises(ZeroDivisionError):  # a fault of ours shows
        run_program(lambda: 1 / 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_kept_and_the_second_raises(number):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with Interrupt() as interrupt:
        assert interrupt.signal is None
        signal.raise_signal(number)
        assert interrupt.signal is number
        with pytest.raises(Stopped) as stop:
            signal.raise_signal(signal.SIGTERM)
        assert stop.value.code == 143 and interrupt.signal is number
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_signals_raise_only_where_they_ended_the_process_before(monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr("sys.unraisablehook", None)  # put back at the end
    try:
        signals.raise_stopped()
        assert before == {number: signal.getsignal(number) for number in before}
        signals.end_at_once()
        signals.raise_stopped()
        for number in before:
            with pytest.raises(Stopped) as stop:
                signal.raise_signal(number)
            assert stop.value.code == 128 + number
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_stopped_program_leaves_at_once(monkeypatch):
    monkeypatch.setattr("os._exit", lambda code: fail(RuntimeError(f"at once {code}")))
    for code in (130, 143):
        with pytest.raises(RuntimeError, match=f"at once {code}"):
            leave(code)
    for code in (0, 2):
        with pytest.raises(SystemExit) as stop:
            leave(code)
        assert stop.value.code == code
