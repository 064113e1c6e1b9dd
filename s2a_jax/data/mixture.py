"""The sources that training cases are drawn from, and their shares."""

from collections.abc import Mapping, Sequence
from typing import Any

from s2a_jax.data.sets import synthetic_slabs
from s2a_jax.data.splits import SPLITS
from s2a_jax.errors import UserError

_KEYS = ("name", "root", "weight", "subset", "slab", "train_split")


def mixture_sources(
    config: Mapping[str, Any], slabs: Sequence[str] = ()
) -> dict[str, tuple[Mapping[str, Any], float]]:
    """The data section and share of every source, the main source first.

    Args:
        config: the data section; `configs/default.py` describes its fields.
        slabs: names of the main source's slabs, which synthetic eyes have to match.

    Returns:
        Name -> (data section, weight > 0); the weights add up to 1.

    Raises:
        UserError: an entry of `mixture` cannot be read, the shares leave nothing for the main
            source, or synthetic eyes lack a slab that matches.
    """
    mixture, main = config["mixture"], dict(config)
    sources: dict[str, tuple[Mapping[str, Any], float]] = {config["name"]: (config, 0.0)}
    if synthetic := _share(mixture["synthetic"], "synthetic"):
        if config["name"] == "synthetic":
            raise UserError(
                "config.data.mixture.synthetic: all cases are synthetic already; leave it out."
            )
        slab = ",".join(slabs) or None
        try:
            synthetic_slabs(slab)
        except UserError as error:
            raise UserError(
                "config.data.mixture.synthetic: synthetic eyes have no slab that stands for "
                f"{slab} of the main source; leave them out, or use slab names of data/README.md."
            ) from error
        own = {"name": "synthetic", "slab": slab, "train_split": SPLITS[0]}
        sources["synthetic"] = ({**main, **own}, synthetic)
    for i, text in enumerate(_texts(mixture["others"])):
        fields = _parse(text, i)
        weight = _share(fields.pop("weight"), f"others[{i}]: weight")
        if not weight:
            raise UserError(f"config.data.mixture.others[{i}]: weight=0; leave the source out.")
        name = fields["name"]
        while name in sources:  # such as two folders
            name += "+"
        sources[name] = ({**main, "slab": None, "train_split": SPLITS[0], **fields}, weight)
    rest = 1 - sum(weight for _, weight in sources.values())
    if rest < 1e-6:
        raise UserError(
            f"config.data.mixture: the shares add up to {1 - rest:g}; their sum must stay below 1 "
            f"and leave a share for {config['name']}."
        )
    sources[config["name"]] = (config, rest)
    return sources


def _texts(others: Any) -> tuple[str, ...]:
    if isinstance(others, str) or not all(isinstance(text, str) for text in others):
        raise UserError(
            f"config.data.mixture.others={others!r}: expected a tuple of strings such as "
            "('name=folder,root=DIR,weight=0.2',)."
        )
    return tuple(others)


def _parse(text: str, i: int) -> dict[str, str]:
    """The fields of "key=value,key=value"."""
    fields = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in _KEYS or not value:
            raise UserError(
                f"config.data.mixture.others[{i}]={text!r}: expected KEY=VALUE with commas "
                f"between; the keys are {', '.join(_KEYS)}."
            )
        fields[key] = value
    if missing := [key for key in _KEYS[:3] if key not in fields]:
        raise UserError(f"config.data.mixture.others[{i}]={text!r}: {missing[0]} is missing.")
    if fields["name"] == "synthetic":
        raise UserError(
            f"config.data.mixture.others[{i}]={text!r}: for synthetic eyes set "
            "config.data.mixture.synthetic."
        )
    if "slab" in fields:  # several: a comma ends the entry
        fields["slab"] = fields["slab"].replace("+", ",")
    return fields


def _share(value: Any, field: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise UserError(f"config.data.mixture.{field}={value}: expected a share in [0, 1).")
    return share
