"""Labels, numbers and times as people read them."""

import math
from datetime import datetime, timedelta
from typing import Any

from s2a_jax.evaluation.labels import METRIC_LABELS

NOTHING = "–"
"""Stands for a value that does not exist."""

_UNITS = {
    "per_mm2": "mm⁻²",
    "per_mm": "mm⁻¹",
    "per_px": "px⁻¹",
    "mm2": "mm²",
    "mm": "mm",
    "um": "µm",
    "px": "px",
    "deg": "°",
    "percent": "%",
}
_WORDS = {"faz": "FAZ", "rv": "RV", "fd": "FD", "fd300": "FD-300", "etdrs": "ETDRS"}
_SPLITS = {"val": "validation"}


def number(value: float | None, digits: int = 4) -> str:
    """Formats a number with `digits` decimals, fewer from 10 on; a dash if there is none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if 0 < size < 0.5 * 10**-digits:
        return f"{value:.1e}".replace("-", "−")
    decimals = digits if size < 10 else min(digits, 2) if size < 1000 else 0
    return f"{value:.{decimals}f}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """Formats an interval; a dash if one end is missing."""
    ends = number(low, digits), number(high, digits)
    if NOTHING in ends:
        return NOTHING
    return " to ".join(ends) if "−" in "".join(ends) else "–".join(ends)


def split_unit(name: str) -> tuple[str, str]:
    """Splits a name into label and unit ("" without one): `faz_area_mm2` -> `FAZ area`, `mm²`."""
    suffix = next((suffix for suffix in _UNITS if name.endswith(f"_{suffix}")), None)
    unit = "" if suffix is None else _UNITS[suffix]
    if suffix is not None:
        name = name.removesuffix(f"_{suffix}")
    words = [_WORDS.get(word, word) for word in name.split("_") if word]
    label = " ".join(words) or name
    return label[:1].upper() + label[1:], unit


def with_unit(name: str) -> str:
    """Label of a biomarker with its unit: `faz_area_mm2` -> `FAZ area (mm²)`."""
    label, unit = split_unit(name)
    return f"{label} ({unit})" if unit else label


def metric(name: str) -> str:
    """Label of a metric: `hd95_um` -> `HD95 ↓ (µm)`."""
    return METRIC_LABELS[name].report if name in METRIC_LABELS else with_unit(name)


def split(name: str) -> str:
    """Human-readable name of a split."""
    return _SPLITS.get(name, name)


def agreement(icc: float | None) -> str:
    """Koo and Li's word for an intraclass correlation (J Chiropr Med 2016)."""
    if icc is None or not math.isfinite(icc):
        return NOTHING
    for limit, word in ((0.5, "poor"), (0.75, "moderate"), (0.9, "good")):
        if icc < limit:
            return word
    return "excellent"


def value(content: Any) -> str:
    """Formats the value of a config field."""
    if content is None:
        return "none"
    if isinstance(content, list | tuple):
        return ", ".join(map(value, content)) or "none"
    if isinstance(content, float):
        return f"{content:.9g}"
    return str(content)


def moment(text: str) -> str:
    """Shortens an ISO 8601 time; any other text stays as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC%z")
    except ValueError:
        return text


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds between two ISO 8601 times; None if one is missing or is not a time."""
    if start is None or end is None:
        return None
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (TypeError, ValueError):  # TypeError: only one of them has an offset from UTC
        return None


def duration(seconds: float) -> str:
    """Formats a duration: `2 h 5 min`, `12 min` or `40 s`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    days, rest = divmod(timedelta(minutes=minutes), timedelta(days=1))
    hours, minutes = divmod(rest.seconds // 60, 60)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"
