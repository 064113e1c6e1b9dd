"""The report of a made-up run."""

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from made_up_run import CONFIG, ENVIRONMENT, write_run
from rich.console import Console

from s2a_jax.cli import run as main
from s2a_jax.commands import train
from s2a_jax.report import figures, training
from s2a_jax.report import results as report_results
from s2a_jax.report.figures import curve
from s2a_jax.report.labels import number, split_unit
from s2a_jax.report.write import write_report
from s2a_jax.runs.environment import record_end, record_start
from s2a_jax.runs.workdir import Workdir

VOID = {"meta", "img", "link", "br"}


class Page(HTMLParser):
    """Text, tags and attributes of a page; asserts that its elements are nested."""

    def __init__(self, text):
        super().__init__()
        self.words, self.attributes, self.open, self.tags = [], [], [], []
        self.feed(text)
        assert not self.open
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "svg"):
            self.words.append(data)

    def values(self, *names):
        return [value for name, value in self.attributes if name in names]


def report(folder, *flags):
    assert main(["report", "--workdir", str(folder), *flags]) == 0
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def undrawn(monkeypatch):
    """For tests of texts: figures are plotted, but not drawn, which takes most of a report."""
    monkeypatch.setattr(figures.Chart, "svg", lambda *_: "<svg></svg>")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, write_run(folder), report(folder)


def test_every_number_is_there(run):
    folder, result, page = run
    for task in result["metrics"].values():
        for name, entry in task.items():
            digits = 2 if name.endswith(("_px", "_um", "_error")) else 4
            low, high = (number(entry[end], digits) for end in ("low", "high"))
            mean, sd, pooled = (number(entry[key], digits) for key in ("mean", "sd", "pooled"))
            assert f"{mean} {low}–{high} {sd} {pooled} {entry['cases']} " in page.text, name
    for name, entry in result["biomarkers"].items():
        label, _ = split_unit(name)
        limits = f"{entry['low']:.4f} to {entry['high']:.4f}".replace("-", "−")
        assert re.search(rf"{label} (\(\S+\) )?0.871 good {entry['bias']:.4f} {limits}", page.text)
    for text in ("50 of 50 epochs", "65 min", "8 × TPU v5e (tpu)", "0123456789abcdef", "0.10.2",
                 "10451", "octa500 80.0%", "protocol native", "AUC 0.9434",
                 "ECE 0.0123"):  # fmt: skip
        assert text in page.text, text
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    scores = {row["step"]: row["val_score"] for row in rows if "val_score" in row}
    assert f"best: {max(scores, key=scores.get)}" in page.text
    assert page.tags.count("img") == 3


def test_chosen_fields_come_first(run):
    _, _, page = run
    first, _, every = page.text.partition("Every field")
    assert "optimizer.learning_rate 0.002 0.003" in first  # the recipe of `small` has 0.003
    for name in ("optimizer.name", "model.variant", "data.name", "augment.shift", "model.width"):
        assert name not in first  # has its default's value
    assert "seed 7 0" in first
    assert "optimizer.name adam" in every


def test_the_page_is_self_contained(run):
    _, _, page = run
    links = page.values("src", "href", "xlink:href", "action", "srcset")
    assert len(links) > 20
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link[0] == "#"} <= set(ids)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)


def test_text_from_files_is_escaped(tmp_path):
    evil = "</style><script>alert(1)</script>\"'{{ 7919 * 7907 }}$x_{"
    result = write_run(tmp_path, epochs=5)
    result["biomarkers"] = {evil: next(iter(result["biomarkers"].values()))}
    result |= {"protocol": evil, "notes": [evil], "pictures": {"best": [f"../{evil}.png"]}}
    (tmp_path / "results/test.json").write_text(json.dumps(result))
    (tmp_path / "results/<b onclick=x>.json").write_text(json.dumps(result))
    (tmp_path / "results/test.csv").write_text(f'id,{evil}\n"<i>{evil}",<u>\n')
    config = CONFIG | {"model": {"name": evil, "variant": evil}, evil: [evil]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    environment = {"command": [evil], "versions": {evil: evil}, "commit": evil}
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    (tmp_path / "overlays/10441.png").rename(tmp_path / "overlays/<img onerror=x>.png")
    page = report(tmp_path)
    assert page.text.count("<script>alert(1)</script>") > 10
    assert not {"script", "b", "i", "u"} & set(page.tags)
    assert page.tags.count("style") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert str(7919 * 7907) not in page.text  # too long a number to be a time or a Dice


def test_a_run_at_its_start(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    page = report(tmp_path)
    for sentence in ("There are no results yet", "No pictures in overlays/", "no training step yet",
                     "has not been validated yet", "no readable environment.json",
                     "No biomarkers"):  # fmt: skip
        assert sentence in page.text, sentence
    assert not {"svg", "img", "aside"} & set(page.tags)


def test_damage_is_noted(tmp_path):
    result = write_run(tmp_path, epochs=5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1')
    (tmp_path / "overlays/10441.png").write_bytes(b"\x89PNG no")
    outside = tmp_path.parent / "outside.png"
    (tmp_path / "results" / result["pictures"]["best"][0]).rename(outside)
    result["pictures"]["best"] = ["../../outside.png"]
    result["curves"]["rv"]["roc"] = {"fpr": [0, 1]}
    del result["um_per_px"], result["biomarkers"]
    (tmp_path / "results/test.json").write_text(json.dumps(result))
    (tmp_path / "results/val.csv").write_text("id,rv_dice,faz_dice\na,0.5,\nb,0.7,\n")
    (tmp_path / "results/val.json").write_text("{")
    page = report(tmp_path)
    for sentence in ("epoch 5 of 50", "not be read and were left out: 1.",
                     "10441.png could not be read", "outside.png lies outside",
                     "curves.rv.roc is not an object of", "known pixel pitch",
                     "results/val.json could not be read", "RV on 2", "step 720, but step 90",
                     "No case of this split has a FAZ mask"):  # fmt: skip
        assert sentence in page.text, sentence
    assert "Dice 0.6000 – 0.1000 – 2" in page.text  # from the CSV file alone


def test_our_own_bugs_are_raised(tmp_path, monkeypatch):
    def planted(*_):
        raise TypeError("planted")

    write_run(tmp_path, epochs=5)
    for module, name in ((report_results, "_metric_row"), (training, "_machine"),
                         (training, "_loss_figures"), (report_results.figures, "draw_roc"),
                         (report_results.figures, "bland_altman")):  # fmt: skip
        with monkeypatch.context() as patch, pytest.raises(TypeError, match="planted"):
            patch.setattr(module, name, planted)
            write_report(tmp_path)
    assert not list(tmp_path.glob("*.html"))


RESULT, ENVIRONMENT_FILE = "results/test.json", "environment.json"
DAMAGE = [
    [
        (RESULT, "metrics", [1], "metrics is not an object"),
        (RESULT, "curves", 5, "curves is not an object"),
        (RESULT, "pictures", 3, "pictures is not an object"),
        (RESULT, "biomarkers.fd300_percent.true", "all", "fd300_percent is not an object of"),
        (RESULT, "notes", "a note", "notes is not a list"),
        (RESULT, "threshold", {}, "threshold is not a number"),
        (RESULT, "step", "last", "step is not a number"),
        (ENVIRONMENT_FILE, "devices", 5, "devices is not a list"),
        (ENVIRONMENT_FILE, "hardware", "fast", "hardware is not an object"),
        (ENVIRONMENT_FILE, "command", "main.py", "command is not a list"),
        (ENVIRONMENT_FILE, "versions", ["jax"], "versions is not an object"),
        (ENVIRONMENT_FILE, "started", 2026, "started is not a text"),
        (ENVIRONMENT_FILE, "failed", ["no"], "failed is not a text"),
    ],
    [
        (RESULT, "metrics.rv", 5, "metrics.rv is not an object"),
        (RESULT, "curves.faz.roc.fpr", [0, 1], "curves.faz.roc is not an object of"),
        (RESULT, "pictures.best", [3], "pictures.best[0] is not a text"),
        (RESULT, "biomarkers.fd300_percent.bias", 1e300, "fd300_percent is not an object of"),
        (ENVIRONMENT_FILE, "devices", [{}], "devices[0].kind is not a text"),
        (ENVIRONMENT_FILE, "resumed", [5], "resumed[0] is not an object"),
    ],
    [
        (RESULT, "metrics.rv.dice.mean", "0.9", "metrics.rv.dice.mean is not a number"),
        (RESULT, "curves.rv.calibration.ece", "low", "curves.rv.calibration is not an object of"),
        (RESULT, "pictures.best", ["a\0b.png"], "could not be read"),
    ],
    [
        (RESULT, "metrics.rv.dice.mean", 10**400, "metrics.rv.dice.mean is not a number"),
        (RESULT, "curves.rv.pr.recall", [None] * 100, "curves.rv.pr is not an object of"),
    ],
]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.usefixtures("undrawn")
def test_a_field_of_a_wrong_type_is_left_out(tmp_path, damage):
    write_run(tmp_path, epochs=5)
    for file, path, value, _ in damage:
        content = parent = json.loads((tmp_path / file).read_text())
        *parents, last = path.split(".")
        for name in parents:
            parent = parent[name]
        parent[last] = value
        (tmp_path / file).write_text(json.dumps(content))
    page = report(tmp_path)
    notes = page.text.partition("Keep in mind")[2].partition("Results on test")[0]
    for *_, note in damage:
        assert notes.count(note) == 1, note
    assert notes.count("left out.") == len(damage)
    assert "Results on test" in page.text and "Environment" in page.text


@pytest.mark.usefixtures("undrawn")
def test_other_kinds_of_damage(tmp_path, capsys):
    write_run(tmp_path, epochs=5)
    (tmp_path / "results/val.csv").write_text(f"id,rv_dice\na,{'1' * 131_073}\n")
    (tmp_path / "results/folder.csv").mkdir()
    (tmp_path / "results/test.csv").write_text("id,rv_dice\na,--0.5,0.7\nb\nc,0.25\n")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(f'{{"step": 9, "loss": {10**400}}}\n{{"step": NaN}}\n')
    (tmp_path / "environment.json").write_text('{"failed": "\\ud800"}')
    page = report(tmp_path)
    for note in ("results/val.csv could not be read (field larger than field limit (131072))",
                 "results/folder.csv could not be read", "and were left out: 2.",
                 "The run failed: ?"):  # fmt: skip
        assert note in page.text, note
    assert "c 0.2500" in page.text  # of the table of cases
    for section, words in (
        (5, "config.train is not an object"),
        ({"epochs": "5"}, "config.train.epochs is not a number"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"train": section}))
        assert main(["report", "--workdir", str(tmp_path)]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_sample_cases_state_the_settings_they_are_drawn_with(tmp_path):
    result = write_run(tmp_path)
    for protocol, threshold, stated in (
        ("native", 0.3, "threshold 0.3"),  # the evaluation drew them anew
        ("otsu", None, "threshold 0.5"),
    ):
        val = result | {"protocol": protocol, "threshold": threshold}
        (tmp_path / "results/val.json").write_text(json.dumps(val))
        samples = report(tmp_path).text.partition("Sample cases")[2]
        assert f"checkpoint of step 720 · {stated} " in samples
        assert ("have other settings (protocol otsu, Otsu's" in samples) == (protocol == "otsu")


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_chooses_its_last_network(tmp_path):
    write_run(tmp_path)
    config = CONFIG | {"eval": {"threshold": 0.5, "choose": "last"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    text = report(tmp_path).text  # the results are of the best one
    assert "RV Dice, test" in text and "Best checkpoint step 720" in text
    assert "are of step 720, but step 900 is the last one in metrics.jsonl" in text
    assert "network of the last step · checkpoint of step 900" in text


@pytest.mark.usefixtures("undrawn")
def test_runs_that_failed_or_are_in_progress_or_were_stopped(tmp_path):
    write_run(tmp_path, epochs=5)
    path, tail = tmp_path / "environment.json", "The same command resumes it from"
    ended = {"failed": "RuntimeError: <b>no memory</b>"}
    path.write_text(json.dumps(ENVIRONMENT | ended))
    page = report(tmp_path)
    assert "The run failed: RuntimeError: <b>no memory</b>" in page.text  # on top
    assert "Failed: RuntimeError" in page.text and "There is no checkpoint: the" in page.text
    (tmp_path / "checkpoints/90").mkdir(parents=True)
    (tmp_path / "checkpoints/100.tmp").mkdir()  # the name of an unfinished one
    path.write_text(json.dumps(ENVIRONMENT | ended | {"resumed": [ENVIRONMENT | {"ended": None}]}))
    page = report(tmp_path)
    assert "The run failed" not in page.text and "Failed: RuntimeError" in page.text
    assert "5 of 50. The run is still in progress, or was killed. " + tail in page.text
    path.write_text(json.dumps(ENVIRONMENT))
    assert f"5 of 50. {tail} the checkpoint of step 90." in report(tmp_path).text


@pytest.mark.usefixtures("undrawn")
def test_one_case_has_no_interval(tmp_path):
    result = write_run(tmp_path, epochs=5)
    result["metrics"]["faz"]["dice"] = {"mean": 0.9, "cases": 1, "pooled": 0.901}
    area = result["biomarkers"]["faz_area_mm2"]
    area |= {"cases": 1} | {name: area[name][:1] for name in ("predicted", "true", "ids")}
    (tmp_path / "results/test.json").write_text(json.dumps(result))
    page = report(tmp_path)
    assert "Dice 0.9000 – – 0.9010 1 " in page.text and "FAZ Dice, test 0.9000 1 case" in page.text
    assert f"FAZ area (mm²) – – {number(area['bias'])} – 1 " in page.text


@pytest.mark.usefixtures("undrawn")
def test_the_folder_of_an_evaluation(tmp_path):
    write_run(tmp_path / "run")
    folder = (tmp_path / "run/results").rename(tmp_path / "results")
    (folder / "other.csv").write_text("id,rv_dice\na,0.5\n")
    page = report(folder)
    assert "Evaluation of s2anet" in page.text and "Results on test" in page.text
    assert page.tags.count("img") == 2 and "other" not in page.text
    for absent in ("Training", "Configuration", "Environment", "Sample cases"):
        assert absent not in page.text
    links = [link[1:] for link in page.values("href") if link[0] == "#"]
    assert set(links) <= set(page.values("id"))


@pytest.mark.usefixtures("undrawn")
def test_a_loss_that_some_rows_lack_is_a_gap(tmp_path):
    write_run(tmp_path)
    path = tmp_path / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if 300 < row["step"] < 600:
            row.pop("loss_faz", None)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "Gaps: batches in which no case has a mask" in report(tmp_path).text


@pytest.mark.parametrize("smooth", [False, True])
def test_gaps_are_drawn_as_gaps(smooth):
    values = np.ones(200)
    values[50:100] = values[120:140] = values[141:160] = np.nan
    svg = curve("a", "b", {"c": ("#123456", np.arange(200), values)}, smooth=smooth)
    lines = re.findall(r'<path d="(M[^"]*)"[^>]*style="fill: none; stroke: #123456', svg)
    assert [line.count("M") for line in lines] == ([3, 4] if smooth else [3])
    assert len(re.findall(r"<use[^>]*fill: #123456", svg)) == 1  # the value between two gaps
    assert len({y for line in lines for y in re.findall(r"[ML] \S+ (\S+)", line)}) == 1  # no 0


def test_wrong_folders(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text("{")
    for name, words in (("none", "not exist"), ("file", "a file"), (".", "neither config.json"),
                        ("run", "is broken")):  # fmt: skip
        assert main(["report", "--workdir", str(tmp_path / name)]) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "run/config.json").write_text("{}")
    assert main(["report", "--workdir", str(tmp_path / "run"), "--out", str(tmp_path)]) == 2
    assert "--out" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.html*"))
    assert (
        main(["report", "--workdir", str(tmp_path / "run"), "--out", f"{tmp_path}/a/b.html"]) == 0
    )
    assert [path.name for path in tmp_path.rglob("*.html*")] == ["b.html"]


def test_a_run_outlives_its_report(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "report.html").mkdir()
    console = Console(file=io.StringIO(), width=200)
    train._report(Workdir(tmp_path), console)
    assert "report could not be written; everything else is complete" in console.file.getvalue()
    assert "report.html is a folder" in console.file.getvalue()


def test_the_environment_of_a_resumed_run(tmp_path):
    path = tmp_path / "environment.json"
    record_start(path)
    first = json.loads(path.read_text())
    assert first["ended"] is None
    assert first["devices"][0]["count"] == 8  # as tests/conftest.py simulates
    record_end(path, pytest.fail)
    record_start(path)
    record_end(path, pytest.fail)
    both = json.loads(path.read_text())
    assert both["started"] == first["started"]
    assert both["resumed"][0]["ended"] >= both["ended"]
