"""Doubts about masks that are right, and about the same masks made wrong.

    python -m benchmarks.mask_doubts --octa500 DIR --octa25k DIR

Prints a table for real eyes (OCTA-500, superficial slab; OCTA-25K) and synthetic ones: in how many
cases the masks raise a doubt that names the fault, as they are and after each change, and for the
FAZ masks alone also in how many the sentence about the whole set does. Right masks should raise
none.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from benchmarks.command_line import parser, positive
from benchmarks.sim_to_real import add_real_eyes, check_real_eyes
from s2a_jax.data.cases import read_case
from s2a_jax.data.octa500 import list_octa500
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.inputs.contents import read_contents
from s2a_jax.inputs.images import unit_pixels
from s2a_jax.inputs.mask_fit import VIEWS
from s2a_jax.inputs.names import images_in
from s2a_jax.inputs.plausibility import MaskFacts, doubt_lines, doubts, mask_facts
from s2a_jax.signals import leave, run_program


class Eye(NamedTuple):
    """Image [H, W] in [0, 1], and its masks, bool [H, W] or None."""

    image: np.ndarray
    rv: np.ndarray | None
    faz: np.ndarray | None


def main() -> None:
    """Print the table."""
    flags = parser("benchmarks.mask_doubts", __doc__)
    add_real_eyes(flags)
    flags.add_argument("--synthetic", type=positive, default=12, help="eyes a set; default 12")
    options = flags.parse_args()
    check_real_eyes(options)
    for name, eyes in _sets(options).items():
        rvs, fazs = (sum(getattr(eye, kind) is not None for eye in eyes) for kind in ("rv", "faz"))
        print(f"\n{name}: {rvs} RV and {fazs} FAZ masks")
        print(f"{'change':57s} {'RV':>5s} {'FAZ':>5s} {'FAZ alone':>10s} {'its set':>8s}")
        for change, (image, mask, sign) in CHANGES.items():
            changed = [
                Eye(image(eye.image), *(m if m is None else mask(m) for m in (eye.rv, eye.faz)))
                for eye in eyes
            ]
            alone = [_facts(eye._replace(rv=None)) for eye in changed if eye.faz is not None]
            counts = [_count(map(_facts, changed), kind, sign) for kind in ("rv", "faz")]
            counts += [_count(alone, "faz", sign), _count_of_set(alone, sign)]
            print(f"{change:57s} {counts[0]:5d} {counts[1]:5d} {counts[2]:10d} {counts[3]:8d}")


def _shifted(mask: np.ndarray) -> np.ndarray:
    step = max(1, len(mask) // 50)
    return np.roll(mask, (step, -step // 2), (0, 1))


def _same(array: np.ndarray) -> np.ndarray:
    return array


CHANGES: dict[str, tuple[Callable, Callable, str]] = {
    "none": (_same, _same, ""),
    "masks shifted by 2 %": (_same, _shifted, ""),
    "masks dilated by 2 px": (_same, lambda m: ndimage.binary_dilation(m, iterations=2), ""),
    "masks inverted": (_same, np.logical_not, "more than half"),
    "images inverted": (lambda image: 1 - image, _same, "inverted"),
}
"""What is done -> to the image, to the masks, and what the sentence must say; "" counts any."""
for _view in [*VIEWS][1:]:
    _undo = _view.replace("counterclockwise", "*").replace("clockwise", "counterclockwise")
    CHANGES[f"masks {_view}"] = (_same, VIEWS[_view], _undo.replace("*", "clockwise"))


def _sets(options) -> dict[str, list[Eye]]:
    sets = {}
    for subset in ("3M", "6M"):
        files = list_octa500(options.octa500, subset).cases
        cases = map(read_case, files)
        sets[f"OCTA-500 {subset}"] = [Eye(case.image, case.rv, case.faz) for case in cases]
    if options.octa25k:
        for half in ("superficial", "deep"):
            masks = images_in(options.octa25k / "faz")
            sets[f"OCTA-25K {half}"] = [
                Eye(contents.image, None, contents.faz)
                for name, path in images_in(options.octa25k / "image").items()
                if name.startswith(half)
                for contents in [read_contents([path], faz=masks[name])]
            ]
    for size, field in ((304, 3.0), (400, 6.0)):
        parameters = EyeParameters(size=size, field_mm=field)
        eyes = [synthesize_eye((5, i), parameters) for i in range(options.synthetic)]
        for slab in ("image", "deep"):
            name = f"synthetic {field:g} mm, {'deep' if slab == 'deep' else 'superficial'}"
            sets[name] = [Eye(unit_pixels(getattr(eye, slab)), eye.rv, eye.faz) for eye in eyes]
    return sets


def _facts(eye: Eye) -> MaskFacts:
    return mask_facts(eye.image, eye.rv, eye.faz)


def _count(cases, structure: str, sign: str) -> int:
    """Cases with a doubt about this structure whose sentence holds `sign`."""
    lines = (doubt_lines([("", facts)]) for facts in cases if doubts(facts))
    name = {"rv": ("The RV", "The vessels"), "faz": ("The FAZ",)}[structure]
    return sum(any(line.startswith(name) and sign in line for line in one) for one in lines)


def _count_of_set(cases: list[MaskFacts], sign: str) -> int:
    """Cases that the sentences with `sign` about a whole set count."""
    lines = [line for line in doubt_lines(("", facts) for facts in cases) if sign in line]
    return sum(int(re.search(r" (\d+) of \d+ case", line).group(1)) for line in lines)


if __name__ == "__main__":
    leave(run_program(main))
