"""Names and numbers as people read them."""

import math
from datetime import datetime, timedelta
from typing import Any

METRICS = {
    "dice": "Dice",
    "jaccard": "Jaccard",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "accuracy": "Accuracy",
    "fdr": "FDR ↓",
    "g_mean": "G-mean",
    "kappa": "Cohen's κ",
    "auc": "ROC AUC",
    "cl_dice": "clDice",
    "hd95": "HD95 ↓",
    "assd": "ASSD ↓",
    "betti0_error": "Betti-0 error ↓",
    "pvr_dice": "Dice in the window",
}
"""Metric -> label; an arrow where lower is better."""
TASKS = {"rv": "RV", "faz": "FAZ", "faz_post": "FAZ, post-processed"}
"""Task -> label."""
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
_NOTHING = "–"


def number(value: Any, digits: int = 4) -> str:
    """A number with `digits` decimals, fewer from 10 on; a dash if there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return _NOTHING
    size = abs(value)
    if 0 < size < 0.5 * 10**-digits:
        return f"{value:.1e}".replace("-", "−")
    decimals = digits if size < 10 else min(digits, 2) if size < 1000 else 0
    return f"{value:.{decimals}f}".replace("-", "−")


def interval(entry: dict[str, Any], digits: int = 4) -> str:
    """`low` to `high` of an entry, or a dash."""
    low, high = number(entry.get("low"), digits), number(entry.get("high"), digits)
    if _NOTHING in (low, high):
        return _NOTHING
    return f"{low} to {high}" if "−" in low + high else f"{low}–{high}"


def split_unit(name: str) -> tuple[str, str]:
    """A label and a unit ("" if the name has none): `faz_area_mm2` -> `FAZ area`, `mm²`."""
    suffix = next((suffix for suffix in _UNITS if name.endswith(f"_{suffix}")), None)
    unit = "" if suffix is None else _UNITS[suffix]
    if suffix is not None:
        name = name.removesuffix(f"_{suffix}")
    words = [_WORDS.get(word, word) for word in name.split("_") if word]
    label = " ".join(words) or name
    return label[0].upper() + label[1:] if label else label, unit


def metric(name: str) -> str:
    """The label of a metric: `hd95_um` -> `HD95 ↓ (µm)`."""
    if name in METRICS:
        return METRICS[name]
    for suffix in ("um", "px"):
        base = name.removesuffix(f"_{suffix}")
        if base != name and base in METRICS:
            return f"{METRICS[base]} ({_UNITS[suffix]})"
    label, unit = split_unit(name)
    return f"{label} ({unit})" if unit else label


def agreement(icc: Any) -> str:
    """Koo and Li's word for an intraclass correlation (J Chiropr Med 2016)."""
    if number(icc) == _NOTHING:
        return _NOTHING
    for limit, word in ((0.5, "poor"), (0.75, "moderate"), (0.9, "good")):
        if icc < limit:
            return word
    return "excellent"


def value(content: Any) -> str:
    """A field of a configuration."""
    if content is None:
        return "none"
    if isinstance(content, list | tuple):
        return ", ".join(map(value, content)) or "none"
    if isinstance(content, float):
        return f"{content:.9g}"
    return str(content)


def moment(text: Any) -> str:
    """An ISO 8601 time, shorter; anything else as it is."""
    try:
        return datetime.fromisoformat(str(text)).strftime("%Y-%m-%d %H:%M UTC%z")
    except ValueError:
        return str(text)


def seconds_between(start: Any, end: Any) -> float | None:
    """Seconds between two ISO 8601 times; None if one is missing or no time."""
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (TypeError, ValueError):
        return None


def duration(seconds: float) -> str:
    """`2 h 5 min`, `12 min` or `40 s`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    days, rest = divmod(timedelta(minutes=minutes), timedelta(days=1))
    hours, minutes = divmod(rest.seconds // 60, 60)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"
