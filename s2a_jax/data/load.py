"""From the data section of a configuration to decoded training, validation and test cases."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from s2a_jax.data.cases import Cases
from s2a_jax.data.entry import Pitch
from s2a_jax.data.folds import Folds
from s2a_jax.data.mixture import mixture_sources
from s2a_jax.data.plan import steps_per_epoch
from s2a_jax.data.reader import Reader, subset_of
from s2a_jax.data.rows import LazyCaseSet, Room, join, no_cases, picked
from s2a_jax.data.sets import PREPARED, find_data_set, synthetic_slabs
from s2a_jax.data.splits import SPLITS
from s2a_jax.data.survey import Share
from s2a_jax.data.synthetic_source import EyeSource
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.inputs.notes import note_lines
from s2a_jax.inputs.pitch import resized_pitch
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
        pitches_um: smallest and largest pitch of the training images as the run reads them, um;
            None if that of any of them is unknown.
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
    pitches_um: tuple[float, float] | None
    notes: tuple[str, ...]
    eyes: EyeSource | None = None

    def steps_per_epoch(self, batch_size: int) -> int:
        """Steps in which the first source is seen once on average; at least 1."""
        first, weight = next(iter(self.sources.values()))
        return steps_per_epoch(len(first), weight, batch_size)

    def trained_tasks(self) -> tuple[str, ...]:
        """The tasks that training cases have masks of: "rv", "faz" or both."""
        has = {"rv": self.train.has_rv, "faz": self.train.has_faz}
        streamed = {"rv": False, "faz": False}
        if self.eyes is not None:  # deep eyes have no vessel masks
            streamed = {"rv": self.eyes.deep_share < 1, "faz": True}
        return tuple(task for task, each in has.items() if each.any() or streamed[task])

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
        size = size or data_set.subset(subset_of(config, data_set)).size
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


def load_run_data(
    config: Mapping[str, Any],
    share: Share | None = None,
    seed: int = 0,
    um_per_px: float | None = None,
) -> RunData:
    """Reads and checks all cases; they stay in memory if all fit into `cache_gib`.

    Otherwise, or with several processes, cases are decoded when they are needed, and as many as fit
    are kept.

    Args:
        config: the data section; `configs/default.py` describes its fields.
        share: this process's part of the first reading; None: all of it.
        seed: draws the training cases where `train_cases` takes some of them.
        um_per_px: pitch of the main source's files, um, if somebody states it; else its own.

    Raises:
        UserError: a field, folder or file cannot be used.
    """
    size, names, folds = image_size(config), _slab_names(config), Folds.from_config(config)
    slabs = _several(names)
    sources = mixture_sources(config, names)
    reader = Reader(size, Room(_cache_bytes(config)), share or Share())
    eyes = None
    if "synthetic" in sources and config["synthetic"]["stream"]:
        slab = sources["synthetic"][0]["slab"]
        eyes = EyeSource.from_config(config["synthetic"], size, synthetic_slabs(slab))
    are_eyes_all = eyes is not None and config["name"] == "synthetic"
    splits, notes, pitch = reader.load(config, SPLITS[1:] if are_eyes_all else SPLITS)
    if folds is not None:
        splits, note, held_out = folds.divide(splits)
        notes.append(note)
    if um_per_px is not None:
        pitch = _stated(um_per_px)
    if count := config["train_cases"]:
        if are_eyes_all:
            raise UserError(
                "config.data.train_cases: streamed eyes are not drawn from a set; set "
                "config.data.synthetic.train."
            )
        splits["train"] = draw_cases(splits["train"], count, seed)
        notes.append(
            f"{counted(count, 'training case')} drawn by config.seed={seed}: "
            f"{first_few(splits['train'].ids)}."
        )
    parts, ranges, first = {}, {}, 0
    pitches: list[float | None] = []
    for name, (source, weight) in sources.items():
        if name == "synthetic" and eyes is not None:
            part = no_cases(size, len(eyes.slabs))
            pitches += (1000 * field_mm / size for field_mm in eyes.field_mm)
        elif source is config:
            part = splits["train"]
            pitches += _pitches(part, pitch, size)
        else:
            loaded, _, own_pitch = reader.load(source, ("train",))
            part = loaded["train"]
            if folds is not None and name != "synthetic":
                whole, part = part, folds.apart(part, held_out, {*splits["val"].digests})
                if not len(part):
                    raise UserError(
                        f"config.data.mixture: fold {folds.fold} validates on the patients of all "
                        f"{counted(len(whole), 'case')} of {name}; leave this source out."
                    )
                if left_out := len(whole) - len(part):
                    notes.append(
                        f"{counted(left_out, 'case')} of {name} left out of training: fold "
                        f"{folds.fold} validates on the same patients or pixels."
                    )
            _check_slabs(name, part, splits["train"])
            pitches += _pitches(part, own_pitch, size)
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
        pitches_um=None if None in pitches else (min(pitches), max(pitches)),
        notes=(*notes, *note),
        eyes=eyes,
    )


def _stated(um_per_px: float) -> Pitch:
    return lambda _, __: um_per_px


def draw_cases(cases: LazyCaseSet, count: int, seed: int) -> LazyCaseSet:
    """Draws some of the training cases; fewer ones of a seed are among its more.

    Args:
        cases: all of them, in any order.
        count: how many to draw.
        seed: of the draw, which depends on the names of the cases, not on their order.

    Raises:
        UserError: there are not so many cases.
    """
    if count > len(cases):
        raise UserError(
            f"config.data.train_cases={count} is more than the {len(cases)} training cases; "
            "choose fewer, or 0 for all."
        )
    by_name = sorted(range(len(cases)), key=lambda index: cases.ids[index])
    drawn = np.random.default_rng(seed).permutation(by_name)[:count]
    return picked(cases, sorted(drawn))


def _pitches(cases: Cases, pitch: Pitch, size: int) -> Iterator[float | None]:
    """Pixel pitch of every case as it is read, `size` pixels wide and high, um."""
    for name, native in zip(cases.ids, cases.native_sizes.tolist(), strict=True):
        yield resized_pitch(pitch(name, tuple(native)), native, (size, size))


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
