"""What a run takes from its images: size, crop, batch and epochs, by a fixed rule."""

import math
from typing import NamedTuple

_VALIDATIONS = 10  # in a run


class Facts(NamedTuple):
    """What a plan depends on.

    Attributes:
        cases: training cases of the main source.
        side: side in pixels of a square with the area of a typical image.
        um_per_px: pitch of a typical image, um; None: unknown.
        trained_um: smallest and largest pitch that the network to start from was trained on, um;
            None: unknown, or there is none.
        weight: the share of the main source in the mixture, in (0, 1].
    """

    cases: int
    side: float
    um_per_px: float | None = None
    trained_um: tuple[float, float] | None = None
    weight: float = 1.0


class Plan(NamedTuple):
    """The numbers of a run.

    Attributes:
        size: side of all images in pixels, a multiple of 16.
        crop: side of a random crop in pixels; 0: whole images.
        batch_size: cases in a batch.
        epochs: passes over the training cases.
        every_epochs: epochs from one validation to the next.
    """

    size: int
    crop: int
    batch_size: int
    epochs: int
    every_epochs: int


def make_plan(
    facts: Facts,
    updates: int,
    *,
    size: int,
    crop: int,
    batch_size: int,
    epochs: int | None,
) -> Plan:
    """Fits a budget of updates to a data set.

    Images keep their size, to a multiple of 16. Where their pitch and that of the network to start
    from are known, they are resampled to the nearest pitch that it knows. Crops are no larger than
    the images, batches than the data set, and the epochs make up the budget.

    Args:
        facts: of the data set.
        updates: the budget.
        size: side of all images in pixels, if it is chosen already; else 0.
        crop: side of a crop in pixels where images are large enough; 0: whole images.
        batch_size: of data sets that are large enough.
        epochs: None: as many as the budget takes.
    """
    if not size:
        scale = 1.0
        if facts.um_per_px is not None and facts.trained_um is not None:
            low, high = facts.trained_um
            scale = facts.um_per_px / min(max(facts.um_per_px, low), high)
        size = max(64, 16 * round(facts.side * scale / 16))
    batch_size = min(batch_size, facts.cases)
    if epochs is None:
        steps = steps_per_epoch(facts.cases, facts.weight, batch_size)
        epochs = max(1, math.ceil(updates / steps))
    crop = crop if crop < size else 0
    return Plan(size, crop, batch_size, epochs, max(1, epochs // _VALIDATIONS))


def steps_per_epoch(cases: int, weight: float, batch_size: int) -> int:
    """Steps in which the main source is seen once on average; at least 1.

    Args:
        cases: its cases.
        weight: its share in the mixture, in (0, 1].
        batch_size: cases in a batch.
    """
    return max(1, round(cases / weight / batch_size))
