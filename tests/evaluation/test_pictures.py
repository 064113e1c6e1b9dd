"""A missing mask must not look like an empty one."""

import numpy as np
import pytest
from PIL import Image

from s2a_jax.evaluation.curves import Histogram, Pool
from s2a_jax.evaluation.diagrams import save_curves
from s2a_jax.evaluation.pictures import RIGHT, differences, overlay, save_comparison
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


def test_differences_and_overlays_by_hand():
    predicted, truth = (np.array([row], bool) for row in ([1, 1, 0, 0], [1, 0, 1, 0]))
    white, magenta, orange = (255, 255, 255), (230, 0, 230), (255, 170, 0)
    assert [*map(tuple, differences(predicted, truth)[0])] == [white, magenta, orange, (0, 0, 0)]
    rv, faz = predicted, np.array([[0, 0, 1, 0]], bool)
    drawn = overlay(np.full((1, 4), 100 / 255), rv, faz)[0]
    red, blue = (45 + 0.55 * np.array(one) for one in ((255, 70, 70), (70, 170, 255)))
    np.testing.assert_allclose(drawn, [red, red, blue, [100] * 3], atol=1)


def test_the_panels_are_truth_then_prediction_then_differences(tmp_path):
    left, right = np.zeros((2, 100, 100), bool)
    left[:, 10:30] = right[:, 60:90] = True
    nothing = np.zeros_like(left)
    truth, predicted = {"rv": left, "faz": nothing}, {"rv": right, "faz": nothing}
    save_comparison(tmp_path / "a.png", np.zeros((100, 100)), truth, predicted, "eye")
    with Image.open(tmp_path / "a.png") as sheet:
        row = np.asarray(sheet)[36 + 150]
    at = {name: row[i * 304 : i * 304 + 300] for i, name in enumerate(("", "true", "ours", "rv"))}
    assert at["true"][60, 0] > 100 and not at["true"][225].any()
    assert at["ours"][225, 0] > 100 and not at["ours"][60].any()
    assert tuple(at["rv"][60]) == (255, 170, 0) and tuple(at["rv"][225]) == (230, 0, 230)


def test_curves_of_empty_masks_are_drawn_without_a_warning(tmp_path):
    pool = Pool()
    pool.add(Histogram.count(np.full((8, 8), 0.25, np.float32), np.zeros((8, 8), bool)))
    save_curves(tmp_path / "a.png", {"rv": pool.curves()}, "no vessel")
    assert (tmp_path / "a.png").stat().st_size


def test_no_case_leaves_the_folder_or_becomes_a_formula(tmp_path):
    ids = ["../../x", "/x", "=1+1"]
    mask = np.eye(32, dtype=bool)
    masks = {"rv": mask, "faz": mask}
    settings = Settings(find_protocol("native", None, "--"), Window.parse("20", "--window"))
    shown = [Shown(i, id_, 1.0, np.zeros((32, 32)), masks, masks) for i, id_ in enumerate(ids)]
    scores = Scores(settings, ids, {"rv": {"dice": np.ones(3)}}, {"rv": {}}, shown=shown)
    out = tmp_path / "a/b/out"
    out.parent.mkdir(parents=True)
    write_results(scores, Subject("test", "unet", {}), out)
    pictures = [path for path in tmp_path.rglob("*.png") if path.name != "test_curves.png"]
    assert [path.parent for path in pictures] == [out / "test"] * 3
    cells = [line.partition(",")[0] for line in (out / "test.csv").read_text().splitlines()]
    assert cells == ["id", "../../x", "/x", "'=1+1"]
