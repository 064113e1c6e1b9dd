"""From the data section of a configuration to decoded training, validation and test cases."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from s2a_jax.data.cases import CaseSet, concatenate, load_cases, stacked
from s2a_jax.data.folder import list_user_folder
from s2a_jax.data.layouts import OURS, list_slabs
from s2a_jax.data.mixture import mixture_sources
from s2a_jax.data.octa500 import Listing, list_octa500, list_split_folders
from s2a_jax.data.pairing import SPLITS
from s2a_jax.data.pitch import SYNTHETIC_FIELD_MM, Pitch, config_pitch
from s2a_jax.data.rose import ROSE_SIZES, list_rose
from s2a_jax.data.synthetic_set import synthetic_folder
from s2a_jax.data.synthetic_slabs import SYNTHETIC_SLABS, synthetic_slabs
from s2a_jax.data.synthetic_stream import EyeSource
from s2a_jax.errors import UserError
from s2a_jax.inputs.slabs import slab_names

NATIVE_SIZES = {"octa500": {"3M": 304, "6M": 400}, "rose": ROSE_SIZES}
"""Data set -> subset -> side of its images in pixels."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Everything that a run reads, in memory.

    Attributes:
        train: all training cases that are kept, source after source.
        sources: name -> its range of indices into `train` and its weight in the mixture.
        val: validation cases.
        test: test cases; empty where the data set has none.
        size: side of all images in pixels.
        slabs: names of the images' last axis, where a case has several slabs; else ().
        slab: name of the one slab that a case has, if it has one and that was named.
        pitch: tells the side of a pixel of a validation or test case's file.
        notes: sentences for the log.
        eyes: the source that is streamed, if one is; its range follows the indices of `train`.
    """

    train: CaseSet
    sources: dict[str, tuple[range, float]]
    val: CaseSet
    test: CaseSet
    size: int
    slabs: tuple[str, ...]
    slab: str | None
    pitch: Pitch
    notes: tuple[str, ...]
    eyes: EyeSource | None = None

    def steps_per_epoch(self, batch_size: int) -> int:
        """Steps in which the first source is seen once, on average, and at least 1."""
        first, weight = next(iter(self.sources.values()))
        return max(1, round(len(first) / weight / batch_size))


def image_size(config: Mapping[str, Any]) -> int:
    """Side of the images in pixels that the data section asks for.

    Raises:
        UserError: it is no positive multiple of 16, or the subset is unknown.
    """
    sizes = NATIVE_SIZES.get(config["name"])
    if sizes is None:
        size = config["size"]
        if not size:
            raise UserError(
                f"config.data.size: tell the side in pixels for config.data.name={config['name']}."
            )
    elif config["subset"] not in sizes:
        expected = ", ".join(sizes)
        raise UserError(f"config.data.subset={config['subset']!r}: expected one of {expected}.")
    else:
        size = config["size"] or sizes[config["subset"]]
    if size < 32 or size % 16:
        raise UserError(f"config.data.size={size}: expected a multiple of 16, at least 32.")
    return size


def data_slabs(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the slabs that a case of the data section has; () with one slab.

    Raises:
        UserError: the field is no list of different names, or nothing is prepared where expected.
    """
    return _several(_slab_names(config))


def _slab_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """As `data_slabs`, but also of a single slab, if it has a name."""
    if config["name"] == "prepared":
        # Only now: TFDS takes a moment to import, and most runs read raw folders.
        from s2a_jax.data.prepared.load import find_prepared, prepared_slabs

        return prepared_slabs(find_prepared(config["root"]))
    return slab_names(config["slab"])


def _several(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) > 1 else ()


def load_dataset(config: Mapping[str, Any]) -> Dataset:
    """Reads, checks and resizes all cases.

    Args:
        config: the data section; `configs/default.py` tells its fields.

    Raises:
        UserError: anything wrong with the fields, folders or files.
    """
    size, names = image_size(config), _slab_names(config)
    slabs = _several(names)
    sources = mixture_sources(config, names)
    eyes = None
    if "synthetic" in sources and config["synthetic"]["stream"]:
        eyes = _eye_source(sources["synthetic"][0], size)
    are_eyes_all = eyes is not None and config["name"] == "synthetic"
    splits, notes = _load(config, size, SPLITS[1:] if are_eyes_all else SPLITS)
    parts, ranges, first = {}, {}, 0
    for name, (source, weight) in sources.items():
        if name == "synthetic" and eyes is not None:
            part = stacked([], [], size, len(eyes.slabs))
        elif source is config:
            part = splits["train"]
        else:
            part = _load(source, size, ("train",))[0]["train"]
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
            f"{ranges[name][1]:.0%} of the training cases come from {name}: {len(part)} cases, "
            f"{int(part.has_rv.sum())} with RV, {int(part.has_faz.sum())} with FAZ masks."
            for name, part in parts.items()
            if eyes is None or name != "synthetic"
        ]
    splits["train"] = train = concatenate(list(parts.values()))
    resized = sum(int((cases.native_sizes != size).any(axis=1).sum()) for cases in splits.values())
    if resized:
        notes.append(f"{resized} images of another size were resized to {size}x{size} pixels.")
    if slabs:
        notes.append(f"A case has {len(slabs)} slabs, in this order: {', '.join(slabs)}.")
    return Dataset(
        train,
        ranges,
        splits["val"],
        splits["test"],
        size,
        slabs,
        slab=names[0] if len(names) == 1 else None,
        pitch=config_pitch(config),
        notes=tuple(notes),
        eyes=eyes,
    )


def _check_slabs(name: str, part: CaseSet, main: CaseSet) -> None:
    """Raises a UserError unless a source of the mixture has as many slabs as the main one."""
    counts = [images.shape[3] if images.ndim == 4 else 1 for images in (part.images, main.images)]
    if counts[0] != counts[1]:
        raise UserError(
            f"config.data.mixture: the images of {name} have {counts[0]} slabs, those of the main "
            f"source {counts[1]}; name as many, in the same order, as slab=FULL+OPL_BM."
        )


def _load(
    config: Mapping[str, Any], size: int, names: Sequence[str]
) -> tuple[dict[str, CaseSet], list[str]]:
    """The named splits of one source, and sentences about them for the log."""
    if config["name"] == "prepared":
        from s2a_jax.data.prepared.load import find_prepared, load_prepared

        if config["slab"] is not None:
            raise UserError("config.data.slab: what is prepared has its slabs; leave it out.")
        folder = find_prepared(config["root"])
        splits = load_prepared(folder, size)
        return splits, [f"Prepared data set {folder}: {_sizes(splits)}"]
    listing = _list(config, size)
    splits = {
        split: load_cases([case for case in listing.cases if case.split == split], size)
        for split in names
    }
    return splits, [f"{listing.layout}: {_sizes(splits)}", *listing.notes]


def _list(config: Mapping[str, Any], size: int) -> Listing:
    """The cases of one source."""
    slab, skip_incomplete = config["slab"], skips_incomplete(config)
    match config["name"]:
        case "octa500":
            return list_octa500(config["root"], config["subset"], slab, skip_incomplete)
        case "rose":
            return list_rose(config["root"], config["subset"], slab, skip_incomplete)
        case "folder":
            return list_user_folder(config["root"], slab, skip_incomplete)
        case "synthetic":
            return _synthetic(config["synthetic"], size, synthetic_slabs(slab))
        case other:
            raise UserError(
                f"config.data.name={other!r}: expected octa500, rose, folder, prepared, synthetic."
            )


def skips_incomplete(config: Mapping[str, Any]) -> bool:
    """Whether cases that lack a slab are left out.

    Raises:
        UserError: the field is neither `error` nor `skip`.
    """
    incomplete = config.get("incomplete", "error")  # runs of older versions have no such field
    if incomplete not in ("error", "skip"):
        raise UserError(f"config.data.incomplete={incomplete!r}: expected error or skip.")
    return incomplete == "skip"


def _synthetic(config: Mapping[str, Any], size: int, slabs: tuple[str, ...]) -> Listing:
    counts = {split: config[split] for split in ("train", "val", "test")}
    for split, least in (("train", 1), ("val", 1), ("test", 0)):
        if counts[split] < least:
            raise UserError(f"config.data.synthetic.{split}={counts[split]}: at least {least}.")
    if config["stream"]:
        counts["train"] = 1  # not used, but the folder has to be a whole data set
    several = slabs != SYNTHETIC_SLABS[:1]
    folder = synthetic_folder(
        config["root"], size, config["seed"], counts, _field_mm(config), several
    )
    if several:
        places = [(folder, dataclasses.replace(OURS, image=f"images/{slab}")) for slab in slabs]
        listing = list_slabs(places, skip_incomplete=False)
    else:
        listing = list_split_folders(folder)
    return dataclasses.replace(listing, layout=f"Synthetic eyes in {folder}")


def _eye_source(source: Mapping[str, Any], size: int) -> EyeSource:
    config, slabs = source["synthetic"], synthetic_slabs(source["slab"])
    for field, least in (("train", 1), ("seed", 0)):
        if config[field] < least:
            raise UserError(f"config.data.synthetic.{field}={config[field]}: at least {least}.")
    if size < 64:
        raise UserError(f"config.data.size={size}: synthetic eyes need at least 64.")
    return EyeSource(config["train"], size, config["seed"], _field_mm(config), slabs)


def _field_mm(config: Mapping[str, Any]) -> tuple[float, float]:
    low, high = field_mm = tuple(config["field_mm"])
    least, most = SYNTHETIC_FIELD_MM
    if not least <= low <= high <= most:
        raise UserError(
            f"config.data.synthetic.field_mm={field_mm}: expected {least:g} <= low <= high <= "
            f"{most:g}."
        )
    return field_mm


def _sizes(splits: Mapping[str, CaseSet]) -> str:
    return ", ".join(
        f"{len(cases)} {split} ({int(cases.has_rv.sum())} with RV, {int(cases.has_faz.sum())} with "
        "FAZ masks)"
        for split, cases in splits.items()
    )
