"""Doubts about masks: what real masks of OCTA images hardly ever look like.

Nothing is refused and no value changes: every kind of doubt becomes one sentence. The limits lie
between what right and wrong masks of real eyes reach (`benchmarks/mask_doubts.py`, docs/data.md).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from s2a_jax.inputs.mask_fit import VIEWS, faz_fit, rv_fit
from s2a_jax.inputs.names import counted, first_few

_MOST = 0.5  # share of the image
_BORDERS = 3  # of the image's four
_HOLE = 0.5  # area of holes over the mask's own area
_PIECE = 0.25  # area of a piece over that of the largest one
_RV_FIT = 0.2  # correlation
_RV_RATIO = 0.5  # correlation as it is over that in another view
_FAZ_FIT = 0.5  # contrast
_FAZ_GAIN = 0.4  # contrast
_FAZ_INVERTED = -0.6  # contrast
_FAZ_SUPPORT = 0.1  # gain of contrast in a view that other masks suggest
_SET = 10  # cases
_SET_T = 3.0  # mean gain of contrast over its standard error

_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """Numbers about the masks of one case.

    Attributes:
        rv_share: share of the pixels in the vessel mask; None without a mask.
        faz_share: share of the pixels in the FAZ mask; None without a mask.
        faz_borders: borders of the image that the FAZ's largest piece touches, 0 to 4.
        faz_hole: area of the holes in the FAZ over its own area.
        faz_pieces: pieces of the FAZ with at least a quarter of the largest one's area.
        rv_fit: correlations, see `mask_fit.rv_fit`; None without image or mask.
        faz_fit: contrasts, see `mask_fit.faz_fit`, of the inverted mask if the mask covers most of
            the image; None without image or mask.
        faz_near: the best contrast of the mask as it is and shifted a little.
    """

    rv_share: float | None = None
    faz_share: float | None = None
    faz_borders: int = 0
    faz_hole: float = 0.0
    faz_pieces: int = 0
    rv_fit: np.ndarray | None = None
    faz_fit: np.ndarray | None = None
    faz_near: float = 0.0


class Doubt(NamedTuple):
    """A doubt about one mask.

    Attributes:
        kind: a key of `_KINDS`.
        values: numbers for the sentence.
        view: name of the view in which the mask fits better; "" for other kinds.
    """

    kind: str
    values: tuple[float, ...]
    view: str = ""


class _Kind(NamedTuple):
    """How a kind of doubt is put into words.

    Attributes:
        structure: the mask, "rv" or "faz".
        sentence: `{of}` is "3 of 200 cases", `{fit}` "masks of 3 of 200 cases fit their images",
            `{masks}` "the masks", `{view}` a name of `VIEWS`, `{named}` the cases with numbers.
        numbers: the numbers of one case.
    """

    structure: str
    sentence: str
    numbers: Callable[..., str]


_KINDS = {
    "faz_covers": _Kind(
        "faz",
        "The FAZ of {of} covers more than half of the image ({named}): {masks} may be inverted.",
        lambda share: f"{100 * share:.0f} %",
    ),
    "faz_borders": _Kind(
        "faz",
        "The FAZ of {of} touches three or more borders of the image ({named}): {masks} may be "
        "inverted.",
        lambda borders, share: f"{borders} borders, {100 * share:.0f} % of the image",
    ),
    "faz_hole": _Kind(
        "faz",
        "The FAZ of {of} surrounds a large area that is not FAZ ({named}): {masks} may be inverted "
        "or hold the outline only.",
        lambda hole: f"{hole:.1f} times its own area",
    ),
    "faz_pieces": _Kind(
        "faz",
        "The FAZ of {of} consists of several large pieces ({named}); an eye has one.",
        lambda pieces: f"{pieces} pieces",
    ),
    "faz_inverted": _Kind(
        "faz",
        "The FAZ {fit} better when inverted ({named}; contrast to its surroundings): {masks} or "
        "the images may be inverted.",
        lambda contrast: f"{contrast:z.1f}",
    ),
    "faz_view": _Kind(
        "faz",
        "The FAZ {fit} better when {view} ({named}; contrast to its surroundings): check the "
        "orientation of {masks}.",
        lambda old, new: f"{new:z.1f} instead of {old:z.1f}",
    ),
    "rv_covers": _Kind(
        "rv",
        "The vessels of {of} cover more than half of the image ({named}): {masks} may be inverted.",
        lambda share: f"{100 * share:.0f} %",
    ),
    "rv_inverted": _Kind(
        "rv",
        "The RV {fit} better when inverted ({named}; correlation): {masks} or the images may be "
        "inverted, unless this slab shows vessels dark.",
        lambda correlation: f"{correlation:z.2f}",
    ),
    "rv_view": _Kind(
        "rv",
        "The RV {fit} better when {view} ({named}; correlation): check the orientation of {masks}.",
        lambda old, new: f"{new:z.2f} instead of {old:z.2f}",
    ),
}


def mask_facts(
    image: np.ndarray | None, rv: np.ndarray | None, faz: np.ndarray | None
) -> MaskFacts:
    """Examines the masks of one case.

    Args:
        image: uint8, or float in [0, 1], [H, W] or [H, W, C]; None if only masks are there.
        rv: bool [H, W], vessels; None without a mask.
        faz: bool [H, W], foveal avascular zone; None without a mask.
    """
    facts = {}
    if rv is not None:
        facts["rv_share"] = float(rv.mean())
        if image is not None:
            facts["rv_fit"] = rv_fit(image, rv)
    if faz is not None:
        share = facts["faz_share"] = float(faz.mean())
        if 0 < share < 1:
            facts |= _faz_shape(faz)
        if image is not None:
            # An inverted mask may also be turned.
            facts["faz_fit"], facts["faz_near"] = faz_fit(image, ~faz if share > _MOST else faz)
    return MaskFacts(**facts)


def doubts(facts: MaskFacts, faz_view: int = 0) -> tuple[Doubt, ...]:
    """What is doubtful about the masks of one case.

    Args:
        facts: numbers that `mask_facts` returned.
        faz_view: index of the view that the FAZ masks of the whole set suggest; 0: none.
    """
    rv_view, found = _rv_doubts(facts)
    return (*_faz_shape_doubts(facts), *_faz_fit_doubts(facts, faz_view or rv_view), *found)


def doubt_lines(cases: Iterable[tuple[str, MaskFacts]], noun: str = "case") -> tuple[str, ...]:
    """One sentence for each kind of doubt, with the number of cases, and the first with numbers.

    The fit of one FAZ mask says little about its orientation, since a FAZ is round and central:
    from 10 masks on, the whole set is judged first.

    Args:
        cases: names and what `mask_facts` returned.
        noun: what the cases are called in the sentences, in the singular.
    """
    cases = list(cases)
    faz_view = _view_of_set([facts for _, facts in cases if facts.faz_fit is not None])
    named: dict[tuple[str, str], list[str]] = {}
    for name, facts in cases:
        for doubt in doubts(facts, faz_view):
            numbers = _KINDS[doubt.kind].numbers(*doubt.values)
            named.setdefault((doubt.kind, doubt.view), []).append(f"{name}: {numbers}")
    totals = {
        "rv": sum(facts.rv_share is not None for _, facts in cases),
        "faz": sum(facts.faz_share is not None for _, facts in cases),
    }
    kinds = [*_KINDS]
    in_order = sorted(named.items(), key=lambda item: (kinds.index(item[0][0]), -len(item[1])))
    return tuple(
        _sentence(_KINDS[kind], view, texts, counted(totals[_KINDS[kind].structure], noun))
        for (kind, view), texts in in_order
    )


def _sentence(kind: _Kind, view: str, texts: list[str], total: str) -> str:
    of = f"{len(texts)} of {total}"
    is_one = len(texts) == 1
    return kind.sentence.format(
        of=of,
        fit=f"mask of {of} fits its image" if is_one else f"masks of {of} fit their images",
        masks="the mask" if is_one else "the masks",
        view=view,
        named=first_few(texts),
    )


def _faz_shape(faz: np.ndarray) -> dict[str, float]:
    """Borders, holes and pieces of a FAZ mask that is neither empty nor full."""
    labels, _ = ndimage.label(faz, _EIGHT)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    largest = int(areas.argmax())
    outside, _ = ndimage.label(~faz)
    holes = np.bincount(outside.ravel())
    holes[0] = 0
    holes[np.unique(np.concatenate(_borders(outside)))] = 0
    return {
        "faz_borders": sum(bool((border == largest).any()) for border in _borders(labels)),
        "faz_hole": float(holes.sum() / areas.sum()),
        "faz_pieces": int((areas >= _PIECE * areas[largest]).sum()),
    }


def _borders(array: np.ndarray) -> tuple[np.ndarray, ...]:
    return array[0], array[-1], array[:, 0], array[:, -1]


def _faz_shape_doubts(facts: MaskFacts) -> list[Doubt]:
    """At most one doubt, since an inverted mask may be all of this."""
    if facts.faz_share is None:
        return []
    if facts.faz_share > _MOST:
        return [Doubt("faz_covers", (facts.faz_share,))]
    if facts.faz_borders >= _BORDERS:
        return [Doubt("faz_borders", (facts.faz_borders, facts.faz_share))]
    if facts.faz_hole > _HOLE:
        return [Doubt("faz_hole", (facts.faz_hole,))]
    return [Doubt("faz_pieces", (facts.faz_pieces,))] if facts.faz_pieces > 1 else []


def _rv_doubts(facts: MaskFacts) -> tuple[int, list[Doubt]]:
    """The view in which the vessel mask fits best, 0 if that is unclear, and the doubts."""
    if facts.rv_share is None:
        return 0, []
    found = [Doubt("rv_covers", (facts.rv_share,))] if facts.rv_share > _MOST else []
    if facts.rv_fit is None:
        return 0, found
    strength = np.abs(facts.rv_fit)
    best = int(np.nanargmax(strength))
    if strength[best] < _RV_FIT:
        return 0, found
    # Deep slabs may show the shadows of vessels; their FAZ is dark, that of inverted images bright.
    is_dark_faz = facts.faz_fit is not None and facts.faz_fit[best] > 0
    if not found and facts.rv_fit[best] < 0 and not is_dark_faz:
        found.append(Doubt("rv_inverted", (float(facts.rv_fit[best]),)))
    if strength[0] > _RV_RATIO * strength[best]:
        return 0, found
    values = (float(facts.rv_fit[0]), float(facts.rv_fit[best]))
    return best, [*found, Doubt("rv_view", values, [*VIEWS][best])]


def _faz_fit_doubts(facts: MaskFacts, suggested: int) -> list[Doubt]:
    """At most one doubt; `suggested` is the view that other masks suggest, 0 if none does."""
    scores = facts.faz_fit
    if scores is None:
        return []
    if suggested:
        view = suggested
        is_better = scores[view] - scores[0] > _FAZ_SUPPORT
    else:
        if scores[0] < _FAZ_INVERTED:
            return [Doubt("faz_inverted", (float(scores[0]),))]
        view = int(np.nanargmax(scores))
        is_better = scores[view] > _FAZ_FIT and scores[view] - facts.faz_near > _FAZ_GAIN
    if not is_better:
        return []
    return [Doubt("faz_view", (float(scores[0]), float(scores[view])), [*VIEWS][view])]


def _view_of_set(facts: list[MaskFacts]) -> int:
    """The view in which the FAZ masks of a set fit better on the whole; 0 if there is none."""
    if len(facts) < _SET:
        return 0
    scores = np.array([one.faz_fit for one in facts])
    mean = scores.mean(axis=0)  # NaN where not all images are square
    view = int(np.nanargmax(mean))
    gains = scores[:, view] - scores[:, 0]
    error = gains.std(ddof=1) / np.sqrt(len(facts))
    # In inverted images every other view is better, and none is good.
    is_good = mean[view] > _FAZ_FIT and gains.mean() > max(_FAZ_SUPPORT, _SET_T * error)
    return view if is_good else 0
