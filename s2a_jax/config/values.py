"""A configuration as plain values: JSON and back, and flat names of fields."""

import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict


def to_json(config: ConfigDict) -> dict[str, Any]:
    """The configuration as JSON values; tuples become lists."""
    return json.loads(json.dumps(config.to_dict()))


def from_json(values: dict[str, Any]) -> ConfigDict:
    """The configuration that `to_json` turned into `values`."""
    return ConfigDict(_with_tuples(values))


def flatten(tree: Mapping[str, Any] | ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Full name of every field, such as `train.epochs`, -> its value."""
    flat = {}
    for name, value in tree.items():
        if isinstance(value, Mapping | ConfigDict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
