"""Reads the cases of a run's data sets once, and keeps what fits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s2a_jax.data.cases import Case, Cases, check_combined, read_case, resized
from s2a_jax.data.entry import DataSet, Pitch
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.data.rows import LazyCaseSet, Room, in_memory
from s2a_jax.data.sets import PREPARED, find_data_set, synthetic_slabs
from s2a_jax.data.splits import SPLITS, Wanted
from s2a_jax.data.survey import Share, listing_digest, survey
from s2a_jax.errors import UserError


@dataclass(frozen=True)
class Reader:
    """Reads the cases of a run.

    Attributes:
        size: side of all images in pixels; 0: each keeps its own.
        room: memory for decoded cases.
        share: this process's part of the first reading.
    """

    size: int
    room: Room
    share: Share

    def load(
        self, config: Mapping[str, Any], names: Sequence[str]
    ) -> tuple[dict[str, LazyCaseSet], list[str], Pitch]:
        """The named splits of one source, sentences about them for the log, and their pitch."""
        if config["name"] == PREPARED:
            return self._prepared(config, names)
        data_set = find_data_set(config["name"])
        subset, root, slab = subset_of(config, data_set), Path(config["root"]), config["slab"]
        if config["incomplete"] not in ("error", "skip"):
            raise UserError(
                f"config.data.incomplete={config['incomplete']!r}: expected error or skip."
            )
        if data_set.make is not None:
            slab = ",".join(synthetic_slabs(slab))
            root = data_set.make(config[data_set.name], self.size, slab)
        wanted = Wanted(
            train_split=config["train_split"], skip_incomplete=config["incomplete"] == "skip"
        )
        listing = data_set.list_cases(root, subset, slab, wanted)
        splits = {
            split: self._raw([case for case in listing.cases if case.split == split])
            for split in names
        }
        notes = [f"{listing.layout}; {_sizes(splits)}", *listing.notes]
        return splits, notes, data_set.pitch(subset, listing.folder)

    def _raw(self, files: Sequence[CaseFiles]) -> LazyCaseSet:
        def read(index: int) -> tuple[str, Case]:
            return files[index].id, resized(read_case(files[index]), self.size or None)

        names = (path.name if path else "" for case in files for path in case.paths)
        listing = listing_digest(names)
        cases = survey(read, len(files), self.size, self.room, self.share, listing=listing)
        check_combined(files, [bool(facts.faz_share) for facts in cases.masks])
        return cases

    def _prepared(
        self, config: Mapping[str, Any], names: Sequence[str]
    ) -> tuple[dict[str, LazyCaseSet], list[str], Pitch]:
        from s2a_jax.data.prepared.load import (
            find_prepared,
            prepared_files,
            prepared_pitch,
            prepared_reader,
        )

        if config["slab"] is not None:
            raise UserError(
                "config.data.slab: a prepared data set has its own slabs; leave it out."
            )
        if config["train_split"] != SPLITS[0]:
            raise UserError(
                "config.data.train_split: a prepared data set has its own splits; leave it out."
            )
        folder = find_prepared(config["root"])
        listing, splits = listing_digest(prepared_files(folder)), {}
        for split in names:
            read, count = prepared_reader(folder, split, self.size or None)
            # TFDS shuffles what it writes.
            splits[split] = survey(
                read, count, self.size, self.room, self.share, listing=listing, sort=True
            )
        return splits, [f"Prepared data set {folder}: {_sizes(splits)}"], prepared_pitch(folder)

    def settled(
        self, splits: Mapping[str, LazyCaseSet]
    ) -> tuple[dict[str, Cases], tuple[str, ...]]:
        """The splits as a run uses them, and a sentence for the log if they are read again."""
        splits = {split: replace(cases, masks=()) for split, cases in splits.items()}
        total = sum(cases.nbytes for cases in splits.values())
        if not self.room.was_full and total <= self.room.size:
            if self.share.count == 1:
                return {split: in_memory(cases) for split, cases in splits.items()}, ()
            return splits, ()
        return splits, (
            f"The cases take {total / 2**30:.3g} GiB in memory, more than "
            f"config.data.cache_gib={self.room.size / 2**30:.3g}: what does not fit is decoded for "
            "each use.",
        )


def subset_of(config: Mapping[str, Any], data_set: DataSet) -> str | None:
    """The subset that the data section names; its default means nothing to sets without subsets."""
    return config["subset"] if data_set.has_subsets else None


def _sizes(splits: Mapping[str, Cases]) -> str:
    return ", ".join(
        f"{len(cases)} {split} ({int(cases.has_rv.sum())} with RV, {int(cases.has_faz.sum())} with "
        "FAZ masks)"
        if len(cases)
        else f"no {split} cases"
        for split, cases in splits.items()
    )
