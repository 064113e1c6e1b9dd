"""Cross-validation: which cases a fold validates on, with all images of a patient in one fold."""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, NamedTuple, Self

import numpy as np

from s2a_jax.data.fingerprint import of_pixels
from s2a_jax.data.patients import without_side
from s2a_jax.data.rows import LazyCaseSet, join, picked
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted, first_few


@dataclass(frozen=True)
class Folds:
    """One fold of a cross-validation.

    Attributes:
        count: number of folds, at least 2.
        fold: the one that validates, from 0; the others train.
        seed: of the draw. Not `config.seed`: the folds of all networks and seeds are the same.
        patient: regular expression that finds the patient in a case's name, its first group if it
            has one; None: the name without OD, OS, R, L, left or right, also where
            OD, OS, R or L follow a digit directly, or OD or OS in capitals a small letter.
    """

    count: int
    fold: int
    seed: int = 0
    patient: re.Pattern[str] | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self | None:
        """The fold that the data section chooses; None without folds.

        Raises:
            UserError: a field is out of its range, or training eyes are streamed.
        """
        count, fold, seed = (config[name] for name in ("folds", "fold", "fold_seed"))
        if not count:
            return None
        if count < 2:
            raise UserError(f"config.data.folds={count}: expected 2 or more, or 0 for none.")
        if not 0 <= fold < count:
            raise UserError(f"config.data.fold={fold}: expected 0 to {count - 1}.")
        if seed < 0:
            raise UserError(f"config.data.fold_seed={seed}: expected 0 or more.")
        if config["name"] == "synthetic" and config["synthetic"]["stream"]:
            raise UserError(
                "config.data.folds: streamed training eyes never repeat, so there is nothing to "
                "divide; set config.data.synthetic.stream=False, or config.data.folds=0."
            )
        try:
            pattern = None if config["patient"] is None else re.compile(config["patient"])
        except re.error as error:
            raise UserError(
                f"config.data.patient={config['patient']!r} is no regular expression ({error}); "
                "one for names as p12_left is '(p[0-9]+)'."
            ) from error
        return cls(count, fold, seed, pattern)

    def divide(
        self, splits: Mapping[str, LazyCaseSet]
    ) -> tuple[dict[str, LazyCaseSet], str, set[str]]:
        """Divides train and val cases anew; other splits stay.

        Args:
            splits: "train", "val" and "test".

        Returns:
            The splits, a sentence for the log, and the patients that validate.

        Raises:
            UserError: there are fewer patients than folds, or `patient` does not fit a name.
        """
        train, val = splits["train"], splits["val"]
        patients = [self.patient_of(name) for name in (*train.ids, *val.ids)]
        cases = replace(join([train, val]), ids=_unique(train.ids, val.ids))
        facts = zip(patients, cases.ids, cases.digests, cases.has_rv, cases.has_faz, strict=True)
        which = assign([_Case(*each) for each in facts], self.count, self.seed)
        own = which == self.fold
        divided = {"train": picked(cases, np.flatnonzero(~own))}
        # What reading had to change is logged once, whichever part a case is in.
        divided["val"] = replace(picked(cases, np.flatnonzero(own)), notes=())
        known = {*patients}
        note = (
            f"Fold {self.fold} of {self.count} (from 0, seed {self.seed}): of "
            f"{counted(len(cases), 'train and val case')} of {counted(len(known), 'patient')} "
            f"{int(own.sum())} validate, the others train."
        )
        if shared := known & {self.patient_of(name) for name in splits["test"].ids}:
            note += f" Patients that test has cases of too: {first_few(sorted(shared))}."
        held_out = {patients[i] for i in np.flatnonzero(own)}
        return dict(splits) | divided, note, held_out

    def apart(self, cases: LazyCaseSet, patients: Set[str], digests: Set[str]) -> LazyCaseSet:
        """The cases of another source that are of none of the patients and have other pixels.

        Args:
            cases: of the other source.
            patients: who validates.
            digests: fingerprints of the cases that validate.

        Raises:
            UserError: `patient` does not fit a name.
        """
        pixels = {of_pixels(digest) for digest in digests}
        kept = [
            index
            for index, (name, digest) in enumerate(zip(cases.ids, cases.digests, strict=True))
            if self.patient_of(name) not in patients and of_pixels(digest) not in pixels
        ]
        return picked(cases, kept)

    def patient_of(self, name: str) -> str:
        """The patient of a case.

        Raises:
            UserError: `patient` does not match the name.
        """
        if self.patient is None:
            return without_side(name)
        match = self.patient.search(name)
        if match is None or match[match.re.groups and 1] is None:
            raise UserError(
                f"config.data.patient={self.patient.pattern!r} does not match the case {name!r}; "
                "give an expression that finds the patient in every name."
            )
        return match[match.re.groups and 1]


class _Case(NamedTuple):
    """What the assignment depends on."""

    patient: str
    name: str
    digest: str
    has_rv: bool
    has_faz: bool


def assign(cases: Sequence[_Case], count: int, seed: int) -> np.ndarray:
    """The fold of each case: int [N] in [0, count).

    Cases of one patient, and those with the same pixels, fall into one fold. Each group goes to the
    fold that has the fewest cases with masks of the same tasks, or, of these, the fewest cases.
    Rare masks come first, then large groups, then the order of a hash of seed and name, so that
    masks of a task which few cases have spread over all folds. The order of the cases does not
    matter.

    Args:
        cases: patient, name, digest, and whether there are masks of each task.
        count: number of folds.
        seed: of the draw.

    Raises:
        UserError: there are fewer groups of cases than folds.
    """
    groups = _groups(cases)
    if len(groups) < count:
        raise UserError(
            f"config.data.folds={count}: train and val have {len(cases)} cases of "
            f"{counted(len(groups), 'patient')}; choose at most as many folds, or name the "
            "patients with config.data.patient."
        )
    tasks = [
        (any(cases[i].has_rv for i in group), any(cases[i].has_faz for i in group))
        for group in groups
    ]
    frequency = Counter(tasks)

    def rank(g: int) -> tuple[int, int, bytes]:
        name = min(cases[i].name for i in groups[g])
        shuffled = blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
        return frequency[tasks[g]], -len(groups[g]), shuffled

    fold_of = np.full(len(cases), -1)
    alike = defaultdict(lambda: [0] * count)
    total = [0] * count
    for g in sorted(range(len(groups)), key=rank):
        same = alike[tasks[g]]
        fold = min(range(count), key=lambda fold: (same[fold], total[fold]))
        fold_of[groups[g]] = fold
        same[fold] += len(groups[g])
        total[fold] += len(groups[g])
    return fold_of


def _groups(cases: Sequence[_Case]) -> list[list[int]]:
    """Indices of the cases that have a patient or pixels in common, directly or by others."""
    parent = list(range(len(cases)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, case in enumerate(cases):
        for key in (("patient", case.patient), ("pixels", of_pixels(case.digest))):
            parent[root(i)] = root(first.setdefault(key, i))
    groups = defaultdict(list)
    for i in range(len(cases)):
        groups[root(i)].append(i)
    return list(groups.values())


def _unique(train: Sequence[str], val: Sequence[str]) -> tuple[str, ...]:
    """The names of both; those that occur in both get their split as a prefix."""
    shared = {*train} & {*val}
    return tuple(
        f"{split}-{name}" if name in shared else name
        for split, names in (("train", train), ("val", val))
        for name in names
    )
