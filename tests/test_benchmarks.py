"""Help of the benchmarks, and mistakes refused in one sentence before any long work."""

import functools
import importlib
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from benchmarks import (
    finetune_curve,
    forward,
    interpolate,
    load_predict,
    load_web,
    missed_vessels,
    sim_to_real,
    sim_to_real_ablation,
    synthesis_realism,
    tpu_compile,
)
from s2a_jax.analysis.pictures import png_bytes
from s2a_jax.convert.weights import save_weights
from s2a_jax.signals import run_program
from s2a_jax.training.stored import read_stored
from s2a_jax.web.eyes import Choices, analyze_uploads
from s2a_jax.web.results import message_html, results_html
from s2a_jax.web.uploads import Upload
from tests.web.fakes import KnownNetwork, eye_pixels

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


def test_weights_between_two_networks(monkeypatch, tmp_path):
    description, variables, _ = read_stored("sim_to_real")
    for name, shift, pitches in (
        ("a", 0, (4.0, 9.0)),
        ("b", 2, (6.0, 15.0)),
        ("e", 2, (9.5, 15.0)),
    ):
        moved = jax.tree.map(lambda array, shift=shift: array + np.float32(shift), variables)
        stated = description._replace(pitches_um=pitches)
        save_weights(tmp_path / f"{name}.safetensors", stated, moved)
    flags = ["--before", "a.safetensors", "--after", "b.safetensors", "--share", "0.25"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["x", *flags, "--out", "c.safetensors"])
    assert run_program(interpolate.main) == 0
    stated, found, _ = read_stored("c.safetensors")
    assert stated.pitches_um == (6.0, 9.0)
    compare = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3)  # half precision
    jax.tree.map(lambda array, old: compare(array, old + 0.5), found, variables)
    monkeypatch.setattr(
        "sys.argv", ["x", *flags, "--after", "e.safetensors", "--out", "d.safetensors"]
    )
    assert run_program(interpolate.main) == 2 and not (tmp_path / "d.safetensors").exists()
    other = description._replace(fields=description.fields | {"groups": 2})
    save_weights(tmp_path / "b.safetensors", other, variables)
    monkeypatch.setattr("sys.argv", ["x", *flags, "--out", "d.safetensors"])
    assert run_program(interpolate.main) == 2 and not (tmp_path / "d.safetensors").exists()
    monkeypatch.setattr("sys.argv", ["x", *flags, "--share", "1.5", "--out", "d.safetensors"])
    with pytest.raises(SystemExit):
        interpolate.main()


def test_raw_masks_keep_all_pieces_of_the_faz():
    probability = np.zeros((64, 64), np.float32)
    probability[28:36, 28:36] = probability[2:6, 2:6] = 1
    for raw, pixels in ((True, 80), (False, 64)):
        assert sim_to_real.mask_of({"faz": probability}, "faz", raw).sum() == pixels


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


def test_the_curve_stops_where_the_shipped_network_cannot_be_scored(monkeypatch, tmp_path):
    monkeypatch.setattr(finetune_curve, "share_compiled_programs", lambda: None)
    monkeypatch.setattr(finetune_curve, "make_runs", lambda options: [])
    monkeypatch.setattr(finetune_curve, "train_all", lambda *_: pytest.fail("trains"))
    monkeypatch.setattr(finetune_curve, "run_command", lambda arguments: 130)  # Ctrl-C
    monkeypatch.setattr("sys.argv", ["x", "--octa500", "DIR", "--out", str(tmp_path)])
    assert finetune_curve.main() == 130


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


IDS = ["000000", "000001", "000002", "000003"]  # two images, twice
KILLED, RESUMED = 10**18, 15 * 10**17  # ns since 1970: in 2001 and 2017


def _write_results(out, ids, time_ns):
    for image in ids:
        for kind in ("rv", "faz", "overlay"):
            path = out / f"{image}_{kind}.png"
            path.write_text(f"{kind} of {int(image) % 2}")
            os.utime(path, ns=(time_ns, time_ns))


def _write_journal(out, ids):
    lines = [{"version": "1"}, *({"id": image} for image in ids)]
    (out / "predictions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


HARM = {
    "000003_rv.png is missing": lambda out: (out / "000003_rv.png").unlink(),
    "000002: 2 lines in the journal": lambda out: _write_journal(out, [*IDS, "000002"]),
    "000001: 0 lines in the journal": lambda out: _write_journal(out, [IDS[0], *IDS[2:]]),
    "written again": lambda out: os.utime(out / "000000_faz.png", ns=(RESUMED, RESUMED)),
    "nor written afterwards": lambda out: os.utime(out / "000002_faz.png", ns=(KILLED, KILLED)),
    "000003_overlay.png has other bytes": lambda out: (out / "000003_overlay.png").write_text("x"),
    ".partial-000001_rv.png is a result of nothing": lambda out: (
        out / ".partial-000001_rv.png"
    ).touch(),
    "predictions.csv: 3 rows": lambda out: (out / "predictions.csv").write_text(
        "image\n000000.png\n000001.png\n000003.png\n"
    ),
}


@pytest.mark.parametrize("found", HARM)
def test_losses_of_a_killed_prediction(found, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    for folder in (whole, out):
        folder.mkdir()
    _write_results(whole, IDS[:2], KILLED)
    _write_results(out, IDS[:2], KILLED)
    _write_journal(out, IDS[:2])
    with (out / "predictions.jsonl").open("a") as journal:
        journal.write('{"id": "0000')  # where the kill came
    kept = load_predict.written(out, load_predict.journaled(out))
    assert len(kept) == 6
    _write_results(out, IDS[2:], RESUMED + 1)
    _write_journal(out, IDS)
    (out / "predictions.csv").write_text("image\n" + "".join(f"{image}.png\n" for image in IDS))
    arguments = (out, IDS, kept, RESUMED, load_predict.written(whole, IDS[:2]))
    assert load_predict.losses(*arguments) == []
    HARM[found](out)
    (sentence,) = load_predict.losses(*arguments)
    assert found in sentence


def test_speed_and_memory_of_a_prediction():
    moments = [(1, 0, 5), (2, 1, 9), (3, 5, 99), (4, 9, 7), (5, 10, 8), (6, 10, 0)]
    moments = [load_predict.Moment(s, n, mib * 2**20) for s, n, mib in moments]
    assert load_predict.table({"killed": moments}).splitlines()[1].split() == [
        "killed", "10", "6.0", "1.67", "9", "8"
    ]  # fmt: skip


def test_answers_of_the_page_are_compared_with_the_analysis(tmp_path):
    network = KnownNetwork()

    def case(side, eye):
        pixels = eye_pixels(side)
        right = network.analyze(pixels, field_mm=3, laterality=eye)
        return load_web.Case("a", png_bytes(pixels), "3 mm", eye, right.masks, right.row())

    sent = tmp_path / "a.png"
    sent.write_bytes(case(12, "OD").content)
    found = analyze_uploads(network, [Upload(sent, "a.png")], Choices(3.0, "OD"))
    answer = results_html(found)
    assert load_web.differences(case(12, "OD"), answer) == ()
    of_another = load_web.differences(case(36, "OD"), answer)
    assert "a: another mask of FAZ" in of_another
    assert any(text.startswith("a: faz_area_mm2 is '0.140625'") for text in of_another)
    assert "a: laterality is 'OD', expected 'OS'" in load_web.differences(case(12, "OS"), answer)
    assert load_web.differences(case(12, "OD"), message_html("No room.")) == (
        "a has no result: No room.",
    )


def test_times_and_memory_of_the_page():
    times = [(100, 101), (100, 103), (112, 118), (119, 121)]  # start and end; 100 to 120 s
    answers = [load_web.Answer(start, end, ()) for start, end in times]
    answers[2] = answers[2]._replace(mistakes=("another mask", "another area"))
    memory = [load_web.Memory(time, mib * 2**20) for time, mib in ((100, 7), (101, 9), (119, 8))]
    rows = load_web.table(answers, memory, 100, 20)
    assert len(rows) == 11
    assert rows[0] == (2 / 60, 1, 30, 1, 1, 9, 0)
    assert rows[1][:5] == (4 / 60, 1, 30, 3, 3)
    assert rows[2].answers == 0 and math.isnan(rows[2].p50_s)
    assert rows[8] == pytest.approx((18 / 60, 1, 30, 6, 6, 0, 1))
    assert rows[9] == pytest.approx((21 / 60, 1, 20, 2, 2, 8, 0))
    assert rows[10] == pytest.approx((21 / 60, 4, 4 / 21 * 60, 2.5, 5.55, 9, 1))


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_a_load_of_no_time_is_refused(minutes, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["x", "--minutes", minutes])
    with pytest.raises(SystemExit):
        load_web.main()
    assert "expected more than 0" in capsys.readouterr().err


def test_a_table_in_no_folder_is_refused_before_the_load(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["x", "--csv", str(tmp_path / "none/load.csv")])
    monkeypatch.setattr(load_web, "make_cases", None)  # must not be reached
    assert run_program(load_web.main) == 2
    assert "none/load.csv: its folder does not exist" in capsys.readouterr().err


def test_missed_vessels_are_counted_by_their_radius(capsys):
    mask, other = np.zeros((2, 80, 60), bool)
    mask[10:13] = True  # 3 px wide: walls 1.5 px from the centreline in row 11
    mask[50:57] = True  # 7 px: 3.5 px
    other[12, :20] = True  # one pixel beside the first centreline
    other[9, 30:] = True  # two pixels beside it
    other[53] = True
    found = missed_vessels.reached_lengths(mask, other, um_per_px=6.0)  # 9 um and 21 um
    np.testing.assert_array_equal(found.all, [0, 60, 0, 60])
    np.testing.assert_array_equal(found.reached, [0, 21, 0, 60])  # 21: diagonals reach one further
    missed_vessels._print("eyes", [found, found], [found])
    rows = [line.split()[-4:] for line in capsys.readouterr().out.splitlines()[2:7]]
    assert rows[0] == ["0.0%", "–", "0.0%", "–"]
    assert rows[1] == ["50.0%", "35.0%", "50.0%", "65.0%"]
    assert rows[3] == ["50.0%", "100.0%", "50.0%", "0.0%"]
    assert rows[4] == ["100.0%", "67.5%", "100.0%", "32.5%"]
