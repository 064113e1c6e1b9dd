"""Fills the fields of a configuration that follow from its images, where it asks for that."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from s2a_jax import processes
from s2a_jax.config.ranges import check_ranges
from s2a_jax.config.recipes import resolve
from s2a_jax.config.values import flatten
from s2a_jax.data.folds import Folds
from s2a_jax.data.load import draw_cases
from s2a_jax.data.mixture import mixture_sources
from s2a_jax.data.plan import Facts, make_plan, steps_per_epoch
from s2a_jax.data.reader import Reader, subset_of
from s2a_jax.data.rows import Room
from s2a_jax.data.sets import PREPARED, find_data_set
from s2a_jax.data.splits import SPLITS
from s2a_jax.data.survey import Share
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted
from s2a_jax.inputs.pitch import UM_PER_PX, check_range
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.initial import read_start

_WORDS = {"rv": "vessels", "faz": "the FAZ"}


_FIELDS = (
    ("data", "size"), ("augment", "crop"), ("train", "batch_size"), ("train", "epochs"),
    ("eval", "every_epochs"),
)  # fmt: skip
"""Section and name of the fields that a plan fills, in the order of `Plan`."""


def planned(config: ConfigDict, workdir: Workdir | None = None) -> tuple[ConfigDict, str]:
    """Fills the empty fields that follow from the training images and `config.train.updates`.

    These are size, crop, batch size, epochs, and the epochs between validations; a field that has a
    value keeps it. The images are read once for this. The folds of a cross-validation have one
    plan, that of the fold with the fewest training cases.

    Args:
        config: not resolved.
        workdir: the folder of the run; if it holds one, its plan holds.

    Returns:
        The configuration, still not resolved, and a sentence on what was chosen; "" if nothing was,
        and the same configuration if there is nothing to fill.

    Raises:
        UserError: a field is out of its range, the data set or the network to start from cannot be
            read, the data set is made and not read, or the run's own configuration is damaged.
    """
    if config.train.updates <= 0 or _is_complete(config):
        return config, ""
    if workdir is not None and workdir.is_taken():
        theirs = flatten(workdir.load_config())
        return _filled(config, [theirs.get(".".join(path)) for path in _FIELDS]), ""
    if config.data.name != PREPARED and find_data_set(config.data.name).make is not None:
        raise UserError(
            f"config.train.updates={config.train.updates} plans a run from images in a folder; "
            f"leave it at 0 for config.data.name={config.data.name}."
        )
    resolved = resolve(config)
    check_ranges(resolved)
    check_range("config.eval.um_per_px", resolved.eval.um_per_px, UM_PER_PX, "um")
    facts, tasks = _survey(resolved)
    plan = make_plan(
        facts,
        config.train.updates,
        size=_given_size(config),
        crop=resolved.augment.crop,
        batch_size=resolved.train.batch_size,
        epochs=config.train.epochs,
    )
    filled = _filled(config, plan)
    return filled, _sentence(facts, tasks, filled)


def _filled(config: ConfigDict, values: Sequence[int | None]) -> ConfigDict:
    """A copy that has `values` where a field of `_FIELDS` is empty."""
    filled = config.copy_and_resolve_references()
    for (section, field), value in zip(_FIELDS, values, strict=True):
        is_empty = filled[section][field] is None or (field == "size" and not filled.data.size)
        if is_empty and value is not None:
            filled[section][field] = value
    return filled


def _is_complete(config: ConfigDict) -> bool:
    needed = (config.augment.crop, config.train.batch_size, config.train.epochs,
              config.eval.every_epochs)  # fmt: skip
    return None not in needed and _given_size(config) > 0


def _given_size(config: Any) -> int:
    """Side of the images, by `config.data.size` or the data set; 0: any."""
    if config.data.size or config.data.name == PREPARED:
        return config.data.size
    data_set = find_data_set(config.data.name)
    return data_set.subset(subset_of(config.data, data_set)).size


def _survey(config: Any) -> tuple[Facts, list[str]]:
    """Facts of the training cases of the main source, and the tasks that they have masks of."""
    share = Share(processes.index(), processes.count(), processes.exchanged)
    folds = Folds.from_config(config.data)
    names = ("train",) if folds is None else SPLITS
    splits, _, pitch = Reader(0, Room(0), share).load(config.data, names)
    cases = splits["train"]
    if folds is not None:
        divided = (replace(folds, fold=fold).divide(splits)[0] for fold in range(folds.count))
        cases = min((each["train"] for each in divided), key=len)
    if config.data.train_cases:
        cases = draw_cases(cases, config.data.train_cases, config.seed)
    sizes = cases.native_sizes.tolist()
    pitches = [
        config.eval.um_per_px or pitch(name, tuple(size))
        for name, size in zip(cases.ids, sizes, strict=True)
    ]
    start = read_start(config.model)
    _, weight = next(iter(mixture_sources(config.data).values()))
    facts = Facts(
        len(cases),
        float(np.median(np.sqrt(np.prod(sizes, axis=1)))),
        None if None in pitches else float(np.median(pitches)),
        None if start is None else start.description.pitches_um,
        weight,
    )
    return facts, [task for task in _WORDS if getattr(cases, f"has_{task}").any()]


def _sentence(facts: Facts, tasks: list[str], config: ConfigDict) -> str:
    """What a filled configuration does; a field that was given is as it was given."""
    pitch = "unknown pitch (--config.eval.um_per_px=UM states it)"
    if facts.um_per_px is not None:
        pitch = f"{facts.um_per_px:.3g} um a pixel"
    batch_size, epochs, crop = config.train.batch_size, config.train.epochs, config.augment.crop
    steps = steps_per_epoch(facts.cases, facts.weight, batch_size)
    crops = f"crops of {crop} px" if crop else "whole images"
    fold = " of the smallest fold" if config.data.folds else ""
    return (
        f"Planned from {counted(facts.cases, 'training case')}{fold} with masks of "
        f"{' and '.join(_WORDS[task] for task in tasks)}, about {facts.side:.0f} px a side, "
        f"{pitch}: images at {_given_size(config)} px, {crops}, batches of {batch_size}, "
        f"{counted(epochs, 'epoch')} of {counted(steps, 'update')}, a validation every "
        f"{counted(config.eval.every_epochs, 'epoch')}."
    )
