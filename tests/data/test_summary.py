"""The numbers of the report about a data set, by hand."""

from pathlib import Path

import numpy as np

from s2a_jax.data.cases import Case
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.data.prepared.summary import make_report, report_lines, summarise

RNG = np.random.default_rng(0)


def summary(id_, split, rv, faz, image=None, shape=(40, 50)):
    """`rv` and `faz`: rows of the mask that are inside; None: no such mask."""
    image = RNG.integers(0, 256, shape, np.uint8) if image is None else image
    masks = [None if n is None else np.arange(shape[0])[:, None] < n + 0 * np.arange(shape[1])
             for n in (rv, faz)]  # fmt: skip
    files = CaseFiles(id_, split, Path(f"{id_}.png"), None, None, None)
    return summarise(files, Case(image, *masks, shape))


def test_counts_sizes_and_prevalence():
    image = RNG.integers(0, 256, (40, 50), np.uint8)
    cases = [
        summary("a", "train", 4, None, image),
        summary("b", "train", 8, 2),
        summary("c", "train", None, 6, shape=(60, 60)),
        summary("d", "test", 10, None, image),
    ]
    report = make_report(cases, {"e.png": "e.png is damaged"})
    train, val, test = (report["splits"][split] for split in ("train", "val", "test"))
    assert train["cases"] == 3 and train["sizes"] == {"50x40": 2, "60x60": 1}
    assert train["rv"] == {"masks": 2, "prevalence": (4 / 40 + 8 / 40) / 2, "missing": ["c"]}
    assert train["faz"] == {"masks": 2, "prevalence": (2 / 40 + 6 / 60) / 2, "missing": ["a"]}
    nothing = {"masks": 0, "prevalence": None, "missing": []}
    assert val == {"cases": 0, "sizes": {}, "rv": nothing, "faz": nothing}
    assert test["faz"]["missing"] == ["d"] and test["rv"]["prevalence"] == 0.25
    assert report["duplicates"] == {"exact": [("train/a", "test/d")], "near": []}
    lines = report_lines(report)
    assert "| train | 3 | 50x40 (2), 60x60 (1) | 2 | 15.00 | 2 | 7.50 |" in lines
    assert "| test | 1 | 50x40 (1) | 1 | 25.00 | 0 | - |" in lines
    assert "- 2 cases have no FAZ mask: train/a, test/d" in lines
    assert "- exact duplicates: 1, 1 across splits: train/a = test/d" in lines
    assert lines[-2:] == ["- unreadable cases: 1", "  - e.png is damaged"]
    other = make_report([*cases[:3], summary("d", "test", 11, None, image)], {})
    assert other["digest"] != report["digest"] == make_report(cases[::-1], {})["digest"]
