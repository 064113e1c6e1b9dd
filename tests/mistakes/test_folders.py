"""Folders of runs and evaluations that `report`, `compare` and `train` cannot use."""

import csv
import json

import pytest

from tests.mistakes.bad_images import png
from tests.report.made_up_run import CONFIG, write_run

DEEP = "[" * 100_000
WIDE = "1" * (csv.field_size_limit() + 1)
TABLE = "id,rv_dice,faz_dice\na,0.5,0.5\n"

CONFIGS = {
    "empty": "",
    "text": "no JSON",
    "cut": json.dumps(CONFIG)[:40],
    "deep": DEEP,
    "list": "[]",
    "number": "5",
    "null": "null",
    "long-number": '{"seed": ' + "9" * 6000 + "}",
    "model-number": json.dumps(CONFIG | {"model": 5}),
    "data-list": json.dumps(CONFIG | {"data": [1]}),
    "train-text": json.dumps(CONFIG | {"train": "x"}),
    "epochs-text": json.dumps(CONFIG | {"train": {"epochs": "many"}}),
    "threshold-list": json.dumps(CONFIG | {"eval": {"threshold": [0.5]}}),
}
"""Name -> config.json of a run."""


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_of_runs(tmp_path, refused, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text(CONFIGS[name])
    refused(["report", "--workdir", "run"], "config.json")
    refused(["train", "--mode=evaluate", "--workdir", "run"], "config")


RESULTS = {
    "test.csv": {
        "empty": "",
        "header": "id,rv_dice,faz_dice\n",
        "no-id": "name,rv_dice,faz_dice\na,0.5,0.5\n",
        "no-dice": "id,rv_iou\na,0.5\n",
        "text": "id,rv_dice,faz_dice\na,high,0.5\n",
        "cut": "id,rv_dice,faz_dice\na,0.5\n",
        "wide": f"id,rv_dice,faz_dice\n{WIDE},0.5,0.5\n",
        "nul": "id,rv_dice,faz_dice\na,0\0,0.5\n",
        "latin": b"id,rv_dice,faz_dice\n\xfc,0.5,0.5\n",
    },
    "test.json": {"empty": "", "list": "[]", "deep": DEEP, "binary": b"\xff\xfe\0"},
    "metrics.jsonl": {"text": "x\n", "list": "[1]\n", "null": "null\n", "binary": b"\xff\n"},
    "weights.safetensors": {"empty": "", "text": "no weights", "binary": b"\xff" * 100},
}
"""File of a finished run -> name -> content."""


@pytest.mark.parametrize(
    ("file", "name"), [(file, name) for file, contents in RESULTS.items() for name in contents]
)
def test_added_runs(tmp_path, refused, file, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/test.csv").write_text(TABLE)
    content = RESULTS[file][name]
    content = content.encode() if isinstance(content, str) else content
    (tmp_path / "run" / file).write_bytes(content)
    refused(["compare", "--config=synthetic", "--workdir=runs", "--add=unet=run"], "run")


def test_whatever_a_report_cannot_show_it_leaves_out_with_a_note(tmp_path, refused):
    """One damaged run with all of it; nothing is printed but where the report is."""
    folder = tmp_path / "run"
    result = write_run(folder, cases=2, epochs=5)
    results = folder / "results"
    result = {"split": "test", "metrics": result["metrics"]}  # figures take longer than the rest
    (results / "test.json").write_text(json.dumps(result))
    (results / "val.csv").mkdir()
    (results / "wide.csv").write_text(f"id,rv_dice\n{WIDE},0.5\n")
    (results / "deep.json").write_text(DEEP)
    (results / "notes.json").write_text(json.dumps(result | {"notes": 5, "split": "notes"}))
    (results / "pictures.json").write_text(json.dumps(result | {"pictures": {"best": ["\0.png"]}}))
    (folder / "overlays/bomb.png").write_bytes(png(100_000, 100_000))
    (folder / "overlays/folder.png").mkdir()
    (folder / "environment.json").write_text(DEEP)
    (folder / "metrics.jsonl").write_bytes(b'\xff\n5\nnull\n[1]\n{"step": "x", "loss": 1}\n')
    (folder / "weights.safetensors").write_bytes(b"\xff" * 100)
    assert refused(["report", "--workdir", "run"], code=0) == []
    page = (folder / "report.html").read_text(encoding="utf-8")
    for named in ("val.csv", "wide.csv", "deep.json", "notes.json", "bomb.png", "folder.png",
                  "environment.json", "weights.safetensors"):  # fmt: skip
        assert named in page, named
    assert "metrics.jsonl that could not be read and were left out: 5" in page
