"""From the data section of a configuration to decoded training, validation and test cases."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s2a_jax.data.cases import Case, Cases, check_combined, read_case, resized
from s2a_jax.data.entry import DataSet, Pitch
from s2a_jax.data.mixture import mixture_sources
from s2a_jax.data.pairing import CaseFiles
from s2a_jax.data.rows import LazyCaseSet, Room, in_memory, join, no_cases
from s2a_jax.data.sets import PREPARED, find_data_set, synthetic_slabs
from s2a_jax.data.splits import SPLITS, Wanted
from s2a_jax.data.survey import Share, listing_digest, survey
from s2a_jax.data.synthetic_source import EyeSource
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted
from s2a_jax.inputs.notes import note_lines
from s2a_jax.inputs.plausibility import doubt_lines
from s2a_jax.inputs.slabs import slab_names


@dataclass(frozen=True, eq=False)
class RunData:
    """Everything that a run reads.

    Attributes:
        train: all training cases, source after source; without those that are streamed.
        sources: name -> its range of indices into `train` and its weight in the mixture.
        val: validation cases.
        test: test cases; empty where the data set has none.
        size: side of all images in pixels.
        slabs: names of the images' last axis, where a case has several slabs; else ().
        slab: name of the only slab, if it has a name.
        pitch: the pixel pitch of a validation or test case.
        notes: sentences for the log.
        eyes: the source that is streamed, if one is; its range follows the indices of `train`.
    """

    train: Cases
    sources: dict[str, tuple[range, float]]
    val: Cases
    test: Cases
    size: int
    slabs: tuple[str, ...]
    slab: str | None
    pitch: Pitch
    notes: tuple[str, ...]
    eyes: EyeSource | None = None

    def steps_per_epoch(self, batch_size: int) -> int:
        """Steps in which the first source is seen once on average; at least 1."""
        first, weight = next(iter(self.sources.values()))
        return max(1, round(len(first) / weight / batch_size))

    def fingerprints(self) -> dict[str, str]:
        """A hash of each case's pixels and masks, as the run reads them, by the case's name.

        Training cases are named "source/train/id", the others "val/id" and "test/id". Streamed eyes
        have none: they follow from the configuration.
        """
        train, digests = self.train, {}
        for source, (part, _) in self.sources.items():
            own = slice(part.start, part.stop)
            names = (f"{source}/train/{id_}" for id_ in train.ids[own])
            digests |= zip(names, train.digests[own], strict=True)
        for split, cases in (("val", self.val), ("test", self.test)):
            names = (f"{split}/{id_}" for id_ in cases.ids)
            digests |= zip(names, cases.digests, strict=True)
        return digests


def image_size(config: Mapping[str, Any]) -> int:
    """Side of the images in pixels.

    Args:
        config: the data section.

    Raises:
        UserError: the side is missing or no multiple of 16, or the data set or subset is unknown.
    """
    size = config["size"]
    if config["name"] != PREPARED:
        data_set = find_data_set(config["name"])
        size = size or data_set.subset(_subset(config, data_set)).size
    if not size:
        raise UserError(f"Set config.data.size (pixels) for config.data.name={config['name']}.")
    if size < 32 or size % 16:
        raise UserError(f"config.data.size={size}: expected a multiple of 16, at least 32.")
    return size


def data_slabs(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the slabs of a case; () for one slab.

    Args:
        config: the data section.

    Raises:
        UserError: the field is no list of different names, or nothing is prepared in the folder.
    """
    return _several(_slab_names(config))


def _slab_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of several slabs, or of one that has a name."""
    if config["name"] == PREPARED:
        # Imported here: TFDS takes half a second to import, and most runs read raw folders.
        from s2a_jax.data.prepared.load import find_prepared, prepared_slabs

        return prepared_slabs(find_prepared(config["root"]))
    return slab_names(config["slab"])


def _several(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) > 1 else ()


def load_run_data(config: Mapping[str, Any], share: Share | None = None) -> RunData:
    """Reads and checks all cases; they stay in memory if all fit into `cache_gib`.

    Otherwise, or with several processes, cases are decoded when they are needed, and as many as fit
    are kept.

    Args:
        config: the data section; `configs/default.py` describes its fields.
        share: this process's part of the first reading; None: all of it.

    Raises:
        UserError: a field, folder or file cannot be used.
    """
    size, names = image_size(config), _slab_names(config)
    slabs = _several(names)
    sources = mixture_sources(config, names)
    reader = _Reader(size, Room(_cache_bytes(config)), share or Share())
    eyes = None
    if "synthetic" in sources and config["synthetic"]["stream"]:
        slab = sources["synthetic"][0]["slab"]
        eyes = EyeSource.from_config(config["synthetic"], size, synthetic_slabs(slab))
    are_eyes_all = eyes is not None and config["name"] == "synthetic"
    splits, notes, pitch = reader.load(config, SPLITS[1:] if are_eyes_all else SPLITS)
    parts, ranges, first = {}, {}, 0
    for name, (source, weight) in sources.items():
        if name == "synthetic" and eyes is not None:
            part = no_cases(size, len(eyes.slabs))
        elif source is config:
            part = splits["train"]
        else:
            part = reader.load(source, ("train",))[0]["train"]
            _check_slabs(name, part, splits["train"])
        parts[name] = part
        ranges[name] = (range(first, first + len(part)), weight)
        first += len(part)
    if eyes is not None:
        ranges["synthetic"] = (range(first, first + eyes.count), ranges["synthetic"][1])
        notes.append(
            f"Synthetic training eyes are made as they are used, {eyes.count} a pass: "
            f"{ranges['synthetic'][1]:.0%} of the training cases."
        )
    if len(sources) > 1:
        notes += [
            f"{ranges[name][1]:.0%} of the training cases come from {name}: "
            f"{counted(len(part), 'case')}, {int(part.has_rv.sum())} with RV, "
            f"{int(part.has_faz.sum())} with FAZ masks."
            for name, part in parts.items()
            if eyes is None or name != "synthetic"
        ]
    splits["train"] = join(list(parts.values()))
    resized = sum(int((cases.native_sizes != size).any(axis=1).sum()) for cases in splits.values())
    if resized:
        images = counted(resized, "image of another size was", "images of another size were")
        notes.append(f"{images} resized to {size}x{size} pixels.")
    notes += note_lines(note for cases in splits.values() for note in cases.notes)
    notes += doubt_lines(
        (f"{split}/{name}", facts)
        for split, cases in splits.items()
        for name, facts in zip(cases.ids, cases.masks, strict=True)
    )
    if slabs:
        notes.append(f"A case has {len(slabs)} slabs, in this order: {', '.join(slabs)}.")
    cases, note = reader.settled(splits)
    return RunData(
        cases["train"],
        ranges,
        cases["val"],
        cases["test"],
        size,
        slabs,
        slab=names[0] if len(names) == 1 else None,
        pitch=pitch,
        notes=(*notes, *note),
        eyes=eyes,
    )


def _cache_bytes(config: Mapping[str, Any]) -> int:
    gib = config["cache_gib"]
    if not 0 <= gib < math.inf:
        raise UserError(f"config.data.cache_gib={gib}: expected a number of GiB, at least 0.")
    return int(gib * 2**30)


def _check_slabs(name: str, part: Cases, main: Cases) -> None:
    """Raises a UserError unless a source of the mixture has as many slabs as the main source."""
    counts = [(*cases.image_shape, 1)[2] for cases in (part, main)]
    if counts[0] != counts[1]:
        raise UserError(
            f"config.data.mixture: the images of {name} have {counts[0]} slabs, those of the main "
            f"source {counts[1]}; name as many, in the same order, as slab=FULL+OPL_BM."
        )


@dataclass(frozen=True)
class _Reader:
    """Reads the cases of a run.

    Attributes:
        size: side of all images in pixels.
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
        subset, root, slab = _subset(config, data_set), Path(config["root"]), config["slab"]
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
            return files[index].id, resized(read_case(files[index]), self.size)

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
            read, count = prepared_reader(folder, split, self.size)
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


def _subset(config: Mapping[str, Any], data_set: DataSet) -> str | None:
    # The field has a default, which data sets without subsets ignore.
    return config["subset"] if data_set.has_subsets else None


def _sizes(splits: Mapping[str, Cases]) -> str:
    return ", ".join(
        f"{len(cases)} {split} ({int(cases.has_rv.sum())} with RV, {int(cases.has_faz.sum())} with "
        "FAZ masks)"
        if len(cases)
        else f"no {split} cases"
        for split, cases in splits.items()
    )
