"""Fills the fields of a configuration that follow from its images, where it asks for that."""

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from s2a_jax import processes
from s2a_jax.config.recipes import resolve
from s2a_jax.data.folds import Folds
from s2a_jax.data.load import draw_cases
from s2a_jax.data.mixture import mixture_sources
from s2a_jax.data.plan import Facts, Plan, make_plan, steps_per_epoch
from s2a_jax.data.reader import Reader, subset_of
from s2a_jax.data.rows import Room
from s2a_jax.data.sets import PREPARED, find_data_set
from s2a_jax.data.splits import SPLITS
from s2a_jax.data.survey import Share
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted
from s2a_jax.training.stored import read_stored

_WORDS = {"rv": "vessels", "faz": "the FAZ"}


def planned(config: ConfigDict) -> tuple[ConfigDict, str]:
    """Fills the empty fields that follow from the training images and `config.train.updates`.

    These are size, crop, batch size, epochs, and the epochs between validations; a field that has a
    value keeps it. The images are read once for this.

    Args:
        config: not resolved.

    Returns:
        The configuration, still not resolved, and a sentence on what was chosen; the same
        configuration and "" if there is nothing to fill.

    Raises:
        UserError: the data set cannot be read, or is made and not read.
    """
    if config.train.updates <= 0 or _is_complete(config):
        return config, ""
    if config.data.name != PREPARED and find_data_set(config.data.name).make is not None:
        raise UserError(
            f"config.train.updates={config.train.updates} plans a run from images in a folder; "
            f"leave it at 0 for config.data.name={config.data.name}."
        )
    resolved = resolve(config)
    facts, tasks = _survey(resolved)
    plan = make_plan(
        facts,
        config.train.updates,
        size=_given_size(config),
        crop=resolved.augment.crop,
        batch_size=resolved.train.batch_size,
        epochs=config.train.epochs,
    )
    filled = config.copy_and_resolve_references()
    for section, field, value in (
        ("data", "size", plan.size),
        ("augment", "crop", plan.crop),
        ("train", "batch_size", plan.batch_size),
        ("train", "epochs", plan.epochs),
        ("eval", "every_epochs", plan.every_epochs),
    ):
        if not filled[section][field]:
            filled[section][field] = value
    return filled, _sentence(facts, tasks, plan)


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
    if folds is not None:
        splits, _ = folds.divide(splits)
    cases = splits["train"]
    if config.data.train_cases:
        cases = draw_cases(cases, config.data.train_cases, config.seed)
    sizes = cases.native_sizes.tolist()
    pitches = [
        config.eval.um_per_px or pitch(name, tuple(size))
        for name, size in zip(cases.ids, sizes, strict=True)
    ]
    trained_um = None
    if config.model.start_from:
        trained_um = read_stored(config.model.start_from)[0].pitches_um
    _, weight = next(iter(mixture_sources(config.data).values()))
    facts = Facts(
        len(cases),
        float(np.median(np.sqrt(np.prod(sizes, axis=1)))),
        None if None in pitches else float(np.median(pitches)),
        trained_um,
        weight,
    )
    return facts, [task for task in _WORDS if getattr(cases, f"has_{task}").any()]


def _sentence(facts: Facts, tasks: list[str], plan: Plan) -> str:
    pitch = "unknown pitch (--config.eval.um_per_px=UM states it)"
    if facts.um_per_px is not None:
        pitch = f"{facts.um_per_px:.3g} um a pixel"
    steps = steps_per_epoch(facts.cases, facts.weight, plan.batch_size)
    crops = f"crops of {plan.crop} px" if plan.crop else "whole images"
    return (
        f"Planned from {counted(facts.cases, 'training case')} with masks of "
        f"{' and '.join(_WORDS[task] for task in tasks)}, about {facts.side:.0f} px a side, "
        f"{pitch}: images at {plan.size} px, {crops}, batches of {plan.batch_size}, "
        f"{counted(plan.epochs, 'epoch')} of {counted(steps, 'update')}, a validation every "
        f"{counted(plan.every_epochs, 'epoch')}."
    )
