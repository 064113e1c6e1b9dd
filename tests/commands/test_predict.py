"""`python -m s2a_jax predict` when it is stopped."""

import signal

import numpy as np
from PIL import Image

from s2a_jax.cli import run as main
from s2a_jax.errors import Stopped
from s2a_jax.inference.segmenter import Segmenter


def test_a_stopped_prediction_leaves_no_half_picture(tmp_path, monkeypatch, capsys):
    def save(_, path, *__):
        path.write_bytes(b"half a picture")
        raise Stopped(signal.SIGTERM)

    Image.new("L", (40, 40)).save(tmp_path / "eye.png")
    masks = (np.zeros((40, 40), bool),) * 2
    monkeypatch.setattr(Segmenter, "predict", lambda *_, **__: masks)
    arguments = ["predict", "--weights", "sim_to_real", "--out", str(tmp_path / "out")]
    with monkeypatch.context() as context:
        context.setattr(Image.Image, "save", save)
        assert main([*arguments, str(tmp_path / "eye.png")]) == 143
    assert capsys.readouterr().err.startswith("Stopped; the same command resumes")
    assert not list((tmp_path / "out").iterdir())
    assert main([*arguments, str(tmp_path / "eye.png")]) == 0
    names = ["eye_faz.png", "eye_overlay.png", "eye_rv.png", "predictions.csv"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
