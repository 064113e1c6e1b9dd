"""A missing mask must not look like an empty one."""

import numpy as np
import pytest
from PIL import Image

from s2a_jax.evaluation.curves import Histogram, Pool
from s2a_jax.evaluation.diagrams import save_curves
from s2a_jax.evaluation.pictures import RIGHT, save_comparison
from s2a_jax.evaluation.protocols import find_protocol
from s2a_jax.evaluation.regions import Window
from s2a_jax.evaluation.results import Subject, write_results
from s2a_jax.evaluation.scoring import Scores, Settings, Shown


def draw(path, truth, side=96):
    image = np.full((side, side), 0.5)
    mask = np.zeros((side, side), bool)
    mask[20:40, 20:40] = True
    predicted = {"rv": mask, "faz": mask}
    save_comparison(path, image, predicted | truth, predicted, "eye")
    with Image.open(path) as sheet:
        return np.asarray(sheet)


@pytest.mark.parametrize("task", ["rv", "faz"])
def test_a_missing_mask_differs_from_an_empty_one(tmp_path, task):
    empty = draw(tmp_path / "a.png", {task: np.zeros((96, 96), bool)})
    none = draw(tmp_path / "b.png", {task: None})
    assert none.shape == empty.shape  # five panels either way
    panel = (none.shape[1] + 4) // 5
    image, truth, prediction, rv, faz = (
        (none != empty)[:, i * panel : (i + 1) * panel].any() for i in range(5)
    )
    assert truth and not image and not prediction
    assert {"rv": rv, "faz": faz} == {"rv": task == "rv", "faz": task == "faz"}
    at = {"rv": 3, "faz": 4}[task] * panel
    assert not (none[36:, at : at + panel - 4] == RIGHT).all(axis=-1).any()


def test_no_tag_where_no_mask_is_missing(tmp_path):
    sheet = draw(tmp_path / "a.png", {"faz": np.zeros((96, 96), bool)})
    truth = sheet[36:, (sheet.shape[1] + 4) // 5 :]
    assert (truth[2:20, 2:60] == 128).all()  # the corner of the tag


def test_curves_of_empty_masks_are_drawn_without_a_warning(tmp_path):
    pool = Pool()
    pool.add(Histogram.count(np.full((8, 8), 0.25, np.float32), np.zeros((8, 8), bool)))
    save_curves(tmp_path / "a.png", {"rv": pool.curves()}, "no vessel")
    assert (tmp_path / "a.png").stat().st_size


@pytest.mark.parametrize("id_", ["../../x", "/x", "=1+1"])
def test_no_case_leaves_the_folder_or_becomes_a_formula(tmp_path, id_):
    mask = np.eye(32, dtype=bool)
    masks = {"rv": mask, "faz": mask}
    settings = Settings(find_protocol("native", None, "--"), Window.parse("20", "--window"))
    shown = [Shown(0, id_, 1.0, np.zeros((32, 32)), masks, masks)]
    scores = Scores(settings, [id_], {"rv": {"dice": np.ones(1)}}, {"rv": {}}, shown=shown)
    out = tmp_path / "a/b/out"
    out.parent.mkdir(parents=True)
    write_results(scores, Subject("test", "unet", {}), out)
    (picture,) = tmp_path.rglob("*best1*")
    assert picture.parent == out / "test"
    cell = (out / "test.csv").read_text().splitlines()[1].partition(",")[0]
    assert cell == ("'=1+1" if id_ == "=1+1" else id_)
