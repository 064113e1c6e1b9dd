"""Numbers, intervals, durations and units as people read them."""

import pytest

from s2a_jax.report.labels import agreement, duration, interval, number, split_unit


@pytest.mark.parametrize(
    ("icc", "word"),
    [(-0.2, "poor"), (0.49, "poor"), (0.5, "moderate"), (0.75, "good"), (0.9, "excellent"),
     (None, "–"), (float("nan"), "–")],
)  # fmt: skip
def test_words_for_an_icc(icc, word):
    assert agreement(icc) == word


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.12346, 4, "0.1235"), (12.345, 4, "12.35"), (9.99, 1, "10.0"), (1234.5, 4, "1234"),
     (-0.5, 2, "−0.50"), (3e-6, 4, "3.0e−06"), (0.0, 2, "0.00"), (float("inf"), 2, "–")],
)  # fmt: skip
def test_numbers(value, digits, text):
    assert number(value, digits) == text


def test_intervals():
    assert interval(0.1, 0.25, 2) == "0.10–0.25"
    assert interval(-0.1, 0.25, 2) == "−0.10 to 0.25"
    assert interval(None, 0.25) == interval(0.1, float("nan")) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (3900, "65 min"), (9000, "2 h 30 min"), (1e5, "1 d 3 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("faz_area_mm2", ("FAZ area", "mm²")),
        ("perimeter_index_per_px", ("Perimeter index", "px⁻¹")),
        ("fd300", ("FD-300", "")),
    ],
)
def test_units_are_the_ends_of_names(name, label):
    assert split_unit(name) == label
