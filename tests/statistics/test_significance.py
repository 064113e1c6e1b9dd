"""Paired tests against their definitions, by brute force."""

import itertools

import numpy as np
import pytest

from s2a_jax.statistics.significance import holm, paired_wilcoxon, rank_biserial

RNG = np.random.default_rng(0)


def ranks(values):
    """Average ranks from 1, by counting."""
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


@pytest.mark.parametrize("n", [6, 9])
def test_wilcoxon_is_the_share_of_all_sign_patterns(n):
    a, b = RNG.normal(size=(2, n))
    r, signs = ranks(np.abs(a - b)), np.sign(a - b)
    centre = r.sum() / 2
    extreme = abs(r[signs > 0].sum() - centre)
    patterns = itertools.product((0, 1), repeat=n)
    share = np.mean([abs(np.dot(p, r) - centre) >= extreme - 1e-9 for p in patterns])
    assert paired_wilcoxon(a, b) == pytest.approx(share)


def test_few_or_equal_cases():
    assert paired_wilcoxon(np.arange(5.0), np.zeros(5)) is None
    assert paired_wilcoxon(np.arange(6.0), np.arange(6.0)) == 1
    assert paired_wilcoxon(np.arange(1.0, 7.0), np.zeros(6)) == pytest.approx(2 / 2**6)
    with pytest.raises(ValueError, match="equally long"):
        paired_wilcoxon(np.zeros(6), np.zeros(7))


def test_holm_rejects_what_its_step_down_procedure_rejects():
    for _ in range(50):
        p = RNG.uniform(size=5) ** 3
        corrected = np.array(holm(p))
        for level in (0.01, 0.05, 0.2, 0.5):
            rejected = set()
            for k, i in enumerate(np.argsort(p)):
                if p[i] > level / (len(p) - k):
                    break
                rejected.add(i)
            assert set(np.flatnonzero(corrected <= level)) == rejected
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_rank_biserial():
    a, b = RNG.normal(size=(2, 12)).round(1)  # rounded: with ties
    d = np.round(a - b, 9)
    d = d[d != 0]
    r = ranks(np.abs(d))
    assert rank_biserial(a, b) == pytest.approx((r[d > 0].sum() - r[d < 0].sum()) / r.sum())
    assert rank_biserial(a, b) == -rank_biserial(b, a)
    assert rank_biserial(a + 9, a) == 1
    assert rank_biserial(a, a) == 0
