"""Help of the benchmarks, and mistakes refused in one sentence before any long work."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from benchmarks import (
    finetune_curve,
    forward,
    sim_to_real,
    sim_to_real_ablation,
    synthesis_realism,
    tpu_compile,
)
from s2a_jax.signals import run_program

FOLDER = Path(__file__).parent.parent / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if "def main(" in path.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_help(name, monkeypatch, capsys):
    program = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as stop:
        program.main()
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert program.__doc__.strip() in text  # verbatim, with its command
    assert f"python -m benchmarks.{name}" in program.__doc__


def test_both_sides_are_timed_in_one_run(monkeypatch, capsys):
    flags = ["x", "--variant", "tiny", "--size", "32", "--batch", "1,2", "--rounds", "1"]
    monkeypatch.setattr("sys.argv", [*flags, "--torch", "eager"])
    assert run_program(forward.main) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    sides = [(row[0], row[1]) for row in rows if row[:1] in (["1"], ["2"])]
    assert sides == [("1", "ours"), ("1", "torch"), ("2", "ours"), ("2", "torch")]


@pytest.mark.parametrize("program", [sim_to_real, sim_to_real_ablation, synthesis_realism])
def test_a_missing_folder_is_refused(program, monkeypatch, capsys, tmp_path):
    folder, out = tmp_path / "none", tmp_path / "out"
    flags = ["--real" if program is synthesis_realism else "--octa500", folder, "--out", out]
    if program is sim_to_real:
        flags += ["--weights", "sim_to_real"]
    monkeypatch.setattr(sim_to_real_ablation, "_make_eyes", None)  # must not be reached
    monkeypatch.setattr("sys.argv", ["x", *map(str, flags)])
    assert run_program(program.main) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and str(folder) in error and error.count("\n") == 1
    assert not out.exists()


def test_another_number_of_eyes_in_the_folder_is_refused(monkeypatch, capsys, tmp_path):
    real, images = tmp_path / "real", tmp_path / "out/0/eyes/train/images"
    images.mkdir(parents=True)
    (images / "0000.png").touch()
    monkeypatch.setattr(sim_to_real_ablation, "check_real_eyes", lambda options: None)
    flags = ["x", "--octa500", str(real), "--out", str(tmp_path / "out"), "--eyes", "2"]
    monkeypatch.setattr("sys.argv", flags)
    assert run_program(sim_to_real_ablation.main) == 2
    assert "has 1 eyes, not --eyes=2" in capsys.readouterr().err


def test_the_curve_of_fine_tuning(monkeypatch, tmp_path):
    monkeypatch.setattr(finetune_curve, "planned", lambda config: (config, ""))
    options = SimpleNamespace(octa500=Path("DIR"), subset="3M", out=tmp_path, counts=(2, 50),
                              draws=2, few=50, updates=9)  # fmt: skip
    runs = finetune_curve.make_runs(options)
    names = [run.label for run, _ in runs]
    assert names == ["random-2-seed0", "sim_to_real-2-seed0", "random-50-seed0",
                     "sim_to_real-50-seed0", "random-2-seed1", "sim_to_real-2-seed1"]  # fmt: skip
    found = [(run.config.model.start_from, run.config.optimizer.learning_rate) for run, _ in runs]
    assert found[:2] == [(None, 3e-3), ("sim_to_real", 1e-3)]
    assert [(run.config.seed, run.config.data.train_cases) for run, _ in runs[3:5]] == [
        (0, 50), (1, 2)
    ]  # fmt: skip
    rows = [
        finetune_curve.Row("sim_to_real", 0, 0, {"rv": 0.875, "faz": None}, None),
        finetune_curve.Row("random", 2, 1, {"rv": 0.5, "faz": None}, 3.25),
    ]
    finetune_curve.write_table(tmp_path / "curve.csv", rows)
    assert (tmp_path / "curve.csv").read_text().splitlines() == [
        "start,eyes,seed,rv_dice,faz_dice,minutes", "sim_to_real,0,0,0.8750,,",
        "random,2,1,0.5000,,3.2500",
    ]  # fmt: skip
    finetune_curve.draw(tmp_path / "curve.png", rows, "3M")
    with Image.open(tmp_path / "curve.png") as chart:
        assert chart.width == 5.5 * 150  # one panel: no case has a FAZ mask


@pytest.mark.parametrize(
    ("found", "named"),
    [(None, "the compiler for TPUs, is missing"), ("0.0.1", "libtpu 0.0.1 does not fit jax")],
)
def test_a_missing_or_other_compiler_for_tpus_is_refused(found, named, monkeypatch, capsys):
    monkeypatch.setattr(tpu_compile, "_version", lambda package: found)
    monkeypatch.setattr("sys.argv", ["x"])
    assert run_program(tpu_compile.main) == 2
    error = capsys.readouterr().err
    assert named in error and "pip install -e '.[tpu-compile]'" in error
    assert error.startswith("error: ") and error.count("\n") == 1
