"""The report about a data set: counts, prevalence, missing and doubtful masks, duplicates."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from itertools import combinations

import numpy as np

from s2a_jax.data.cases import Case
from s2a_jax.data.doubts import case_facts
from s2a_jax.data.fingerprint import fingerprint
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.data.prepared.alike import alike_pairs
from s2a_jax.data.splits import SPLITS
from s2a_jax.inputs.images import resize_image
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.inputs.notes import Note
from s2a_jax.inputs.plausibility import MaskFacts, doubt_lines
from s2a_jax.inputs.slabs import first_slab

_SIDE = 32  # px, of the thumbnails that reveal near duplicates
_ALIKE = 0.95  # correlation of thumbnails; different eyes stay below 0.9


@dataclasses.dataclass(frozen=True)
class Summary:
    """What the report needs from one case.

    Attributes:
        id: the case's id.
        split: the case's split.
        size: height and width in pixels.
        masks: facts about the masks.
        digest: hash of the image's pixels.
        fingerprint: hash of the pixels of image and masks.
        thumbnail: [32 * 32] float32, the first slab without its mean, of unit length.
        notes: what reading its files had to change or choose.
    """

    id: str
    split: str
    size: tuple[int, int]
    masks: MaskFacts
    digest: str
    fingerprint: str
    thumbnail: np.ndarray
    notes: tuple[Note, ...]


def summarise(file: CaseFiles, case: Case) -> Summary:
    """The summary of one decoded case."""
    small = resize_image(first_slab(case.image), (_SIDE, _SIDE)).ravel()
    small = small - small.mean()
    return Summary(
        id=file.id,
        split=file.split,
        size=case.native_size,
        masks=case_facts(case),
        digest=blake2b(np.ascontiguousarray(case.image), digest_size=16).hexdigest(),
        fingerprint=fingerprint(case.image, case.rv, case.faz),
        thumbnail=small / max(float(np.linalg.norm(small)), 1e-6),
        notes=case.notes,
    )


def make_report(cases: Sequence[Summary], unreadable: dict[str, str]) -> dict:
    """The report as JSON values; reports with the same `digest` are about the same cases.

    Duplicates are pairs "split/id": exact ones have the same pixels; near ones have thumbnails of
    32x32 pixels that correlate by at least 0.95. A pair across splits leaks test cases.

    Args:
        cases: every readable case.
        unreadable: file -> error.
    """
    facts = sorted((case.split, case.id, case.fingerprint) for case in cases)
    report: dict = {
        "digest": blake2b(repr(facts).encode(), digest_size=16).hexdigest(),
        "splits": {},
        "duplicates": _duplicates(cases),
        "doubts": doubt_lines((f"{case.split}/{case.id}", case.masks) for case in cases),
        "unreadable": unreadable,
    }
    for split in SPLITS:
        part = [case for case in cases if case.split == split]
        sizes = Counter(f"{case.size[1]}x{case.size[0]}" for case in part)
        entry = {"cases": len(part), "sizes": dict(sizes.most_common())}
        for task in ("rv", "faz"):
            masks = [(case.id, getattr(case.masks, f"{task}_share")) for case in part]
            shares = [share for _, share in masks if share is not None]
            entry[task] = {
                "masks": len(shares),
                "prevalence": float(np.mean(shares)) if shares else None,
                "missing": [name for name, share in masks if share is None],
            }
        report["splits"][split] = entry
    return report


def report_lines(report: dict) -> list[str]:
    """The report as Markdown, line by line."""
    lines = [
        "| split | cases | sizes (px) | RV masks | RV % | FAZ masks | FAZ % |",
        "|" + "---|" * 7,
    ]
    for split, entry in report["splits"].items():
        sizes = ", ".join(f"{size} ({count})" for size, count in entry["sizes"].items()) or "-"
        cells = [split, str(entry["cases"]), sizes]
        for task in ("rv", "faz"):
            prevalence = entry[task]["prevalence"]
            cells.append(str(entry[task]["masks"]))
            cells.append("-" if prevalence is None else f"{100 * prevalence:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for task in ("rv", "faz"):
        missing = [
            f"{split}/{name}"
            for split, e in report["splits"].items()
            for name in e[task]["missing"]
        ]
        if missing:
            have = counted(len(missing), "case has", "cases have")
            lines.append(f"- {have} no {task.upper()} mask: {first_few(missing)}")
    duplicates = report["duplicates"]
    for kind in ("exact", "near"):
        pairs = duplicates[kind]
        across = [pair for pair in pairs if pair[0].split("/")[0] != pair[1].split("/")[0]]
        shown = ": " + first_few([" = ".join(pair) for pair in across or pairs]) if pairs else ""
        lines.append(f"- {kind} duplicates: {len(pairs)}, {len(across)} across splits{shown}")
    lines += [f"- {doubt}" for doubt in report["doubts"]]
    unreadable = report["unreadable"]
    lines.append(f"- unreadable cases: {len(unreadable)}")
    lines += [f"  - {problem}" for problem in unreadable.values()]
    return lines


def _duplicates(cases: Sequence[Summary]) -> dict[str, list[tuple[str, str]]]:
    same = defaultdict(list)
    for index, case in enumerate(cases):
        same[case.digest].append(index)
    exact = sorted(pair for group in same.values() for pair in combinations(group, 2))
    near = (
        pair
        for pair in alike_pairs(np.array([case.thumbnail for case in cases]), _ALIKE)
        if cases[pair[0]].digest != cases[pair[1]].digest
    )
    names = [f"{case.split}/{case.id}" for case in cases]
    return {
        kind: [(names[i], names[j]) for i, j in pairs]
        for kind, pairs in (("exact", exact), ("near", near))
    }
