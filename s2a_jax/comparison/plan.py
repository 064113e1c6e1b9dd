"""Plan of a comparison: networks or parts of the reference, each with several seeds."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from s2a_jax.config.ranges import check_ranges
from s2a_jax.errors import UserError
from s2a_jax.runs.workdir import Workdir
from s2a_jax.training.setup import network_fields_of

Variants = dict[str, dict[str, Any]]
"""Variant -> fields of the configuration that it changes, "section.field" -> value."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        name: network or variant that is compared.
        seed: `config.seed`.
        config: resolved configuration.
        workdir: folder of the run.
        fold: `config.data.fold` of a cross-validation; None without one.
    """

    name: str
    seed: int
    config: ConfigDict
    workdir: Workdir
    fold: int | None = None

    @property
    def label(self) -> str:
        """Name of the run's folder."""
        return self.workdir.path.name


def networks(names: Sequence[str]) -> Variants:
    """One variant per network.

    Raises:
        UserError: a name is repeated or missing.
    """
    _check_names(names)
    return {name: {"model.name": name} for name in names}


def ablation(config: ConfigDict, names: Sequence[str] | None = None) -> Variants:
    """Variants of S2A-Net that change one part each; the first one changes nothing.

    `no-lcem` decodes the vessels from the last Transformer block, `no-gcem` the FAZ from that block
    alone, and `no-context` both, each with a decoder of its own. With one GCEM layer, as in `small`
    and `tiny`, the FAZ is decoded from the last block anyway: `no-context` stands for the first
    two. The others replace DWB by the weights that the released code trains with, by equal weights,
    by learned uncertainty (Kendall 2018) and by DWA (Liu 2019).

    Args:
        config: resolved; its fields of model and objective hold for every variant.
        names: the variants to keep, in this order; None: all.

    Raises:
        UserError: a name is repeated, missing or unknown.
    """
    whole = {"model.name": "s2anet", "objective.balance": "dwb"}
    layers = network_fields_of(_changed(config, whole))["gcem_layers"]
    last = (max(layers),)
    without_lcem, without_gcem = {"model.lcem_layers": last}, {"model.gcem_layers": last}
    one_each = {"no-lcem": whole | without_lcem, "no-gcem": whole | without_gcem}
    fixed = whole | {"objective.balance": "fixed"}
    variants = {
        "s2anet": whole,
        **(one_each if len(layers) > 1 else {}),
        "no-context": whole | without_lcem | without_gcem,
        "fixed-0.8": fixed | {"objective.fixed_rv_weight": 0.8},
        "equal": fixed | {"objective.fixed_rv_weight": 0.5},
        "uncertainty": whole | {"objective.balance": "uncertainty"},
        "dwa": whole | {"objective.balance": "dwa"},
    }
    if names is None:
        return variants
    _check_names(names)
    for name in names:
        if name not in variants:
            known = f"expected some of {', '.join(variants)}"
            if name in one_each:
                known = (
                    "it needs several GCEM decoders, as with "
                    '--config.model.gcem_layers="(1,2,3)"; without, no-context stands for it'
                )
            raise UserError(f"--networks={','.join(names)}: no variant {name}; {known}.")
    return {name: variants[name] for name in names}


def _check_names(names: Sequence[str]) -> None:
    given = f"--networks={','.join(names)}"
    if not names or "" in names:
        raise UserError(f"{given}: expected names with commas between, and none empty.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{given}: {twice[0]} is named twice.")


def make_plan(
    config: ConfigDict,
    variants: Mapping[str, Mapping[str, Any]],
    seeds: int,
    folder: Path,
    folds: int | None = None,
) -> list[Run]:
    """Lists all runs: every variant with the first seed, then with the second, and so on.

    Of each seed, every variant comes with the first fold, then with the second, and so on. A
    comparison that is stopped early has then compared all variants with some seeds.

    Args:
        config: resolved configuration; its seed is the first one.
        variants: name -> changed fields.
        seeds: number of seeds, at least 1.
        folder: run `name` with seed k goes to `<folder>/<name>-seed<k>`, with fold f to
            `<folder>/<name>-seed<k>-fold<f>`.
        folds: number of folds of a cross-validation, at least 2; None: every run has the data set's
            own splits, or those of the configuration.

    Raises:
        UserError: a field or network that cannot be used, or a folder that holds another run.
    """
    if seeds < 1:
        raise UserError(f"--seeds={seeds}: expected at least 1.")
    if folds is not None and folds < 2:
        raise UserError(f"--folds={folds}: expected at least 2.")
    runs = []
    for seed in range(config.seed, config.seed + seeds):
        for fold in (None,) if folds is None else range(folds):
            divided = {} if fold is None else {"data.folds": folds, "data.fold": fold}
            ending = "" if fold is None else f"-fold{fold}"
            for name, changes in variants.items():
                own = _changed(config, {**changes, **divided, "seed": seed})
                workdir = Workdir(folder / f"{name}-seed{seed}{ending}")
                runs.append(Run(name, seed, own, workdir, fold))
    for run in runs:  # all of them before the first one starts
        check_ranges(run.config)
        network_fields_of(run.config)
        run.workdir.check(run.config)
    return runs


def _changed(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
    """A copy with some fields changed."""
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(dict(changes))
    return config
