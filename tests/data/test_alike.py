"""Pairs of similar thumbnails, against the matrix of all correlations."""

import numpy as np
import pytest

from s2a_jax.data.prepared import alike
from s2a_jax.data.prepared.alike import alike_pairs


@pytest.mark.parametrize("block", [7, 1024])
@pytest.mark.parametrize("detail", [0.0, 0.5, 20.0])
def test_pairs_are_those_of_the_matrix_of_correlations(monkeypatch, block, detail):
    """Thumbnails of coarse and of fine structure, and copies with more and more noise."""
    monkeypatch.setattr(alike, "_BLOCK", block)
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(60, 4, 4)).repeat(8, axis=1).repeat(8, axis=2).reshape(60, -1)
    pictures = coarse + detail * rng.normal(size=(60, 1024)) + rng.normal(size=(1, 1024))
    noise = rng.normal(size=(60, 1024)) * np.linspace(0, 0.6, 60)[:, None]
    pictures = np.concatenate([pictures, pictures + noise * pictures.std(axis=1)[:, None]])
    order = rng.permutation(120)
    pictures = pictures[order]
    expected = np.argwhere(np.triu(np.corrcoef(pictures) >= 0.95, k=1)).tolist()
    assert 20 < len(expected) < 60
    unit = pictures - pictures.mean(axis=1, keepdims=True)
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    assert alike_pairs(unit, 0.95) == [*map(tuple, expected)]


def test_black_pictures_and_single_ones_have_no_pairs():
    assert alike_pairs(np.zeros((5, 1024), np.float32), 0.95) == []
    assert alike_pairs(np.ones((1, 1024), np.float32) / 32, 0.95) == []
