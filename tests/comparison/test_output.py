"""Tables and pictures from workdirs that were made up."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from safetensors.numpy import save_file
from scipy import stats

from s2a_jax.comparison.output import write_comparison
from s2a_jax.comparison.plan import make_plan
from s2a_jax.comparison.results import read_curves
from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.errors import UserError

DATA = {"name": "octa500", "subset": "3M"}


def workdir(folder, seed, shift=0.0, cases=8, faz_cases=3):
    """What a finished run leaves; Dice of a case is drawn, plus `shift`."""
    rng = np.random.default_rng(seed)
    (folder / "results").mkdir(parents=True)
    (folder / "overlays").mkdir()
    rows = [
        (f"eye{i}", f"{rng.uniform(0.5, 0.8) + shift:.6f}",
         f"{rng.uniform(0.5, 0.8):.6f}" if i < faz_cases else "")
        for i in range(cases)
    ]  # fmt: skip
    with (folder / "results/val.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "rv_dice", "faz_dice"), *rows])
    (folder / "config.json").write_text(json.dumps({"train": {"batch_size": 4}}))
    losses = [
        {"step": s, "loss_rv": 1 / s, "loss_faz": 0.5, "images_per_second": 2.0}
        for s in (10, 20, 30)
    ]
    validation = {"step": 30, "val_rv_dice": 0.7, "val_faz_dice": 0.6}
    lines = [json.dumps(row) for row in [*losses, validation]]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    weights = {"params/a": np.zeros((30, 10)), "params/b": np.zeros(5), "batch_stats/a": np.ones(7)}
    save_file(weights, folder / "weights.safetensors")
    Image.new("RGB", (60, 20)).save(folder / "overlays/eye0.png")
    return folder


def compare(tmp_path, runs, reference="ours", data=DATA):
    console = Console(width=120, record=True, file=io.StringIO())
    write_comparison(tmp_path / "out", [], runs, reference, data, console)
    with (tmp_path / "out/table.csv").open() as file:
        rows = {(row["task"], row["name"]): row for row in csv.DictReader(file)}
    return rows, console.export_text()


@pytest.fixture
def runs(tmp_path):
    return [
        ("low", workdir(tmp_path / "a", 1)),
        ("high", workdir(tmp_path / "b", 2, shift=0.2)),
        ("ours", workdir(tmp_path / "c", 3)),
        ("ours", workdir(tmp_path / "d", 4)),
    ]


def test_the_table_is_what_its_columns_say(tmp_path, runs):
    rows, text = compare(tmp_path, runs)

    def dice(name):
        tables = [np.loadtxt(path / "results/val.csv", delimiter=",", skiprows=1, usecols=1)
                  for other, path in runs if other == name]  # fmt: skip
        return np.array(tables)

    ours = dice("ours").mean(axis=0)
    p = {name: stats.wilcoxon(dice(name)[0], ours).pvalue for name in ("low", "high")}
    smaller, larger = sorted(p, key=p.get)
    expected = {smaller: 2 * p[smaller], larger: max(p[larger], 2 * p[smaller])}
    for name in ("low", "high"):
        row = rows["rv", name]
        values = dice(name)[0]
        assert float(row["mean"]) == pytest.approx(values.mean(), rel=1e-4)
        assert float(row["sd"]) == pytest.approx(values.std(), rel=1e-4)
        assert float(row["low"]) < values.mean() < float(row["high"])
        assert float(row["difference"]) == pytest.approx((values - ours).mean(), rel=1e-4)
        assert float(row["p"]) == pytest.approx(expected[name], rel=1e-4)
        assert float(row["p_uncorrected"]) == pytest.approx(p[name], rel=1e-4)
        ranks = stats.rankdata(np.abs(values - ours)) * np.sign(values - ours)
        assert float(row["effect"]) == pytest.approx(ranks.sum() / np.abs(ranks).sum(), rel=1e-4)
        assert row["seed_sd"] == ""
    row = rows["rv", "ours"]
    spread = np.std(dice("ours").mean(axis=1), ddof=1)
    assert float(row["seed_sd"]) == pytest.approx(spread, rel=1e-4)
    assert (row["p"], row["seeds"], row["cases"]) == ("", "2", "8")
    assert (row["parameters"], row["minutes"]) == ("305", "1")  # 30 steps x 4 images at 2 a second
    assert (rows["faz", "low"]["p"], rows["faz", "low"]["cases"]) == ("", "3")
    assert "n < 6" in text


def test_one_case_has_no_interval(tmp_path):
    runs = [(name, workdir(tmp_path / name, seed, faz_cases=1))
            for seed, name in enumerate(("ours", "other"))]  # fmt: skip
    rows, text = compare(tmp_path, runs)
    one, several = rows["faz", "other"], rows["rv", "other"]
    assert all(several[name] and not one[name] for name in ("sd", "low", "high", "effect"))
    line = next(line for line in text.partition("(FAZ): 1 case")[2].splitlines() if "other" in line)
    assert line.split()[4:7] == ["±", "–", "–"]


def test_published_numbers_stand_beside_with_their_source(tmp_path, runs):
    _, text = compare(tmp_path, runs)
    page = (tmp_path / "out/table.md").read_text()
    for output in (text, page):
        assert "90.82" in output and "98.54" in output and "README of S2A-Net" in output
        assert "89.72" not in output  # of 6M
    _, text = compare(tmp_path, runs, data={"name": "synthetic", "subset": "3M"})
    assert "no published numbers for config.data.name=synthetic" in text


def test_every_file_is_written(tmp_path, runs):
    compare(tmp_path, runs)
    with (tmp_path / "out/compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 8
    assert [row["seed"] for row in rows if row["network"] == "ours"] == ["0"] * 8 + ["1"] * 8
    for name, folder in runs:
        with (folder / "results/val.csv").open() as file:
            own = {row["id"]: row for row in csv.DictReader(file)}
        for row in (row for row in rows if (row["network"], row["seed"]) == (name, "0")):
            if name == "ours" and folder != runs[2][1]:
                continue  # its second seed
            for column in ("rv_dice", "faz_dice"):
                expected = float(own[row["id"]][column] or "nan")
                assert float(row[column] or "nan") == pytest.approx(expected, nan_ok=True)
    for name in ("dice.png", "curves.png", "cases/eye0.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert picture.height > 0
    assert picture.height == 3 * (20 + 20)  # three networks
    curves = read_curves(runs[0][1])
    np.testing.assert_allclose(curves["loss"], [(s, 1 / s + 0.5) for s in (10, 20, 30)])
    np.testing.assert_array_equal(curves["val_faz_dice"], [(30, 0.6)])
    np.testing.assert_array_equal(curves["val_rv_dice"], [(30, 0.7)])


@pytest.fixture
def folds(tmp_path):
    """Two networks, two seeds, three folds of four cases each, of which one has a FAZ."""
    config = resolve(load_config("synthetic:smoke"))
    variants = {"low": {"model.name": "unet"}, "ours": {"model.name": "s2anet"}}
    runs = make_plan(config, variants, 2, tmp_path / "folds", 3)
    for number, run in enumerate(runs):
        workdir(run.workdir.path, number, cases=4, faz_cases=1)
        table = run.workdir.results / "val.csv"
        table.write_text(table.read_text().replace("eye", f"eye{run.fold}"))
    return runs


def write_folds(tmp_path, runs):
    console = Console(width=120, record=True, file=io.StringIO())
    write_comparison(tmp_path / "out", runs, [], "ours", DATA, console)
    with (tmp_path / "out/table.csv").open() as file:
        rows = {(row["task"], row["name"]): row for row in csv.DictReader(file)}
    return rows, console.export_text()


def test_the_held_out_cases_of_all_folds_are_one_table(tmp_path, folds):
    rows, text = write_folds(tmp_path, folds)
    dice = {}
    for run in folds:
        for row in csv.DictReader((run.workdir.results / "val.csv").read_text().split()):
            dice.setdefault((run.name, row["id"]), []).append(float(row["rv_dice"]))
    means = {name: [np.mean(v) for (n, _), v in sorted(dice.items()) if n == name]
             for name in ("low", "ours")}  # fmt: skip
    assert len(means["ours"]) == 12 and all(len(values) == 2 for values in dice.values())
    row = rows["rv", "low"]
    assert {row["split"] for row in rows.values()} == {"out of fold"}
    assert (row["cases"], row["seeds"], rows["faz", "low"]["cases"]) == ("12", "2", "3")
    assert float(row["mean"]) == pytest.approx(np.mean(means["low"]), rel=1e-4)
    p = stats.wilcoxon(np.subtract(means["low"], means["ours"])).pvalue
    assert float(row["p"]) == pytest.approx(p, rel=1e-4)
    assert row["minutes"] == "1"
    assert "out of fold, vessels (RV): 12 cases" in text and "by the run that held out" in text
    with (tmp_path / "out/compare.csv").open() as file:
        cells = [
            (row["network"], row["seed"], row["fold"], row["id"]) for row in csv.DictReader(file)
        ]
    assert len(cells) == 48 and ("ours", "1", "2", "eye23") in cells
    assert all(fold == id_[3] for _, _, fold, id_ in cells)


def test_a_network_without_all_folds_is_left_out(tmp_path, folds):
    rows, text = write_folds(tmp_path, [run for run in folds if run.label != "low-seed1-fold2"])
    assert "low, seed 1, is left out: not finished of 3 folds: 2." in text
    assert (rows["rv", "low"]["seeds"], rows["rv", "ours"]["seeds"]) == ("1", "2")
    with pytest.raises(UserError, match=r"ours, seed 0, is left out.*No run of the reference ours"):
        write_folds(tmp_path, [run for run in folds if run.name == "low" or run.fold])


def test_folds_that_do_not_belong_together_are_refused(tmp_path, folds):
    table = folds[0].workdir.results / "val.csv"
    table.write_text(table.read_text().replace("eye00", "eye10"))
    with pytest.raises(UserError, match=r"both evaluated on 'eye10': the folds do not belong"):
        write_folds(tmp_path, folds)


def test_runs_on_other_cases_are_refused(tmp_path, runs):
    runs.append(("other", workdir(tmp_path / "e", 5, cases=7)))
    with pytest.raises(UserError, match=r"not evaluated on the same val cases.*'eye7'"):
        compare(tmp_path, runs)
    assert not (tmp_path / "out").exists()


def test_runs_under_another_protocol_are_refused(tmp_path, runs):
    for (_, folder), protocol in zip(runs, ("native", "native", "otsu", "native"), strict=True):
        (folder / "results/val.json").write_text(json.dumps({"protocol": protocol}))
    with pytest.raises(UserError, match="evaluated on val under otsu"):
        compare(tmp_path, runs)


def test_the_last_line_of_a_killed_run_is_left_out(tmp_path, runs):
    with (runs[0][1] / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "loss_rv": 0.')
    rows, _ = compare(tmp_path, runs)
    assert rows["rv", "low"]["minutes"] == "1"


def test_the_loss_of_a_run_without_masks_of_one_task(tmp_path):
    rows = [{"step": 10, "loss_rv": 0.5}, {"step": 20, "loss_rv": 0.25}, {"step": 20, "val_x": 1}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    np.testing.assert_array_equal(read_curves(tmp_path)["loss"], [[10, 0.5], [20, 0.25]])


def test_runs_that_never_learned_a_task_have_no_table_of_it(tmp_path, runs):
    for number, (_, folder) in enumerate(runs):
        (folder / "results/val.csv").write_text(f"id,rv_dice\neye0,0.{number}5\neye1,0.{number}7\n")
    rows, text = compare(tmp_path, runs)
    assert set(rows) == {("rv", name) for name in ("low", "high", "ours")}
    assert float(rows["rv", "high"]["mean"]) == pytest.approx(0.16)  # of 0.15 and 0.17
    assert "avascular" not in text.split("Published")[0]


def test_a_task_that_one_run_never_learned_has_no_table(tmp_path, runs):
    table = runs[1][1] / "results/val.csv"
    lines = [line.rpartition(",")[0] for line in table.read_text().splitlines()]
    table.write_text("\n".join(lines) + "\n")
    rows, _ = compare(tmp_path, runs)
    assert set(rows) == {("rv", name) for name in ("low", "high", "ours")}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("metrics.jsonl", '{"step": 10}\n{"step": 20, "lo\n{"step": 30}\n', "line 2 is no JSON"),
        ("metrics.jsonl", '{"step": "ten"}\n', "line 1 is no JSON"),
        ("results/val.json", "{", "could not be read"),
        ("results/val.csv", "id,rv_dice,faz_dice\neye0,0.5\n", "expected the column id"),
        ("results/val.csv", "id,dice\neye0,0.5\n", "holds no Dice"),
        ("config.json", "[]", "holds no JSON object"),
        ("config.json", "{}", "has no train.batch_size"),
        ("weights.safetensors", "{", "could not be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, runs, name, content, words):
    file = runs[1][1] / name
    file.write_text(content)
    with pytest.raises(UserError, match=words) as error:
        compare(tmp_path, runs)
    assert str(file) in str(error.value)


def test_a_workdir_without_results_is_refused(tmp_path, runs):
    (runs[0][1] / "results/val.csv").unlink()
    with pytest.raises(UserError, match=r"low: .*finished run"):
        compare(tmp_path, runs)
