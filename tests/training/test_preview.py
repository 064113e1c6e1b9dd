"""The contact sheet, for cases that lack a mask."""

from types import SimpleNamespace

import numpy as np
from PIL import Image

from s2a_jax.config.load import load_config
from s2a_jax.config.recipes import resolve
from s2a_jax.data.cases import Case, stacked
from s2a_jax.training import preview


def test_a_missing_mask_is_named_in_every_column_of_masks(monkeypatch, tmp_path):
    config = load_config("default")
    config.model.variant = "tiny"
    config.data.update({"name": "folder", "size": 64})
    config = resolve(config)
    config.augment.update({"crop": 0, "probability": 0.0})  # all four columns alike

    def sheet(faz):
        image = np.full((64, 64), 0.5, np.float32)
        cases = [Case(image, image > 1, faz, (64, 64))] * 6
        dataset = SimpleNamespace(
            train=stacked([str(i) for i in range(6)], cases, 64),
            sources={"all": (range(6), 1.0)},
            eyes=None,
        )
        monkeypatch.setattr(preview, "load_run_data", lambda data, seed: dataset)
        preview.write_preview(config, tmp_path / "preview.png")
        with Image.open(tmp_path / "preview.png") as picture:
            return np.asarray(picture).reshape(6, 68, 8, 68, 3)

    differs = (sheet(None) != sheet(np.zeros((64, 64), bool))).any(axis=(1, 3, 4))
    assert (differs == (np.arange(8) % 2 == 1)).all()  # [6 cases, 8 pictures]
