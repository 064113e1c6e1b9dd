"""The numbers of a training step as they are written and shown."""

from collections.abc import Mapping
from typing import Any

_TASKS = ("rv", "faz")


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What `train_step` returned, without the loss of a task of which no case has a mask.

    Such a loss is 0, which would look perfect.
    """
    absent = {f"loss_{task}" for task in _TASKS if not metrics[f"masks_{task}"]}
    return {
        name: float(value)
        for name, value in metrics.items()
        if name not in absent and not name.startswith("masks_")
    }


def line(values: Mapping[str, float]) -> str:
    """A row of metrics.jsonl for the progress bar; a dash where a task has no loss."""
    losses = (
        f"{task} {values[name]:.3f}" if (name := f"loss_{task}") in values else f"{task} –"
        for task in _TASKS
    )
    return (
        f"loss {values['loss']:.4f}  {'  '.join(losses)}  alpha {values['alpha']:.3f}  "
        f"{values['images_per_second']:.1f} img/s"
    )
