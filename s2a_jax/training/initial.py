"""Initial values of a run's network from a file or a trained network, as its configuration says."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict

from s2a_jax.convert.imagenet import encoder_shapes, pretrained_encoder
from s2a_jax.convert.start import Start, start_values
from s2a_jax.convert.weights import Description
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted, first_few
from s2a_jax.training.state import TrainState
from s2a_jax.training.stored import read_stored


class Initial(NamedTuple):
    """Values that replace the random initial ones.

    Attributes:
        values: path of an array, such as `params/encoder/resnet/root_conv/kernel` -> its values.
        note: a sentence on what was taken; "" if nothing is to be said.
    """

    values: dict[str, np.ndarray]
    note: str = ""


class Stored(NamedTuple):
    """The trained network that `config.model.start_from` names.

    Attributes:
        description: of the network.
        variables: {"params", "batch_stats"}.
        path: the file or folder that holds them.
    """

    description: Description
    variables: dict[str, Any]
    path: Path


def read_start(config: Any) -> Stored | None:
    """Reads the network that `config.model.start_from` names; None if the field is empty.

    Args:
        config: the `model` section of a configuration.

    Raises:
        UserError: `config.model.pretrained` is set as well, or there is no such network.
    """
    if not config.start_from:
        return None
    if config.pretrained and config.start_from:
        raise UserError(
            "config.model.pretrained and config.model.start_from are both set: a network starts "
            "from one of them; leave the other one out."
        )
    try:
        return Stored(*read_stored(config.start_from))
    except UserError as error:
        raise UserError(f"config.model.start_from={config.start_from}: {error}") from error


def read_initial(
    config: Any,
    start: Stored | None,
    description: Description,
    abstract: TrainState,
    frozen: Collection[str] = (),
) -> Initial:
    """Reads what `config.model.pretrained` names, or takes what fits of a trained network.

    Args:
        config: the `model` section of a configuration.
        start: its `read_start`.
        description: the network.
        abstract: shapes of the state.
        frozen: top-level modules whose parameters stay.

    Raises:
        UserError: what is named cannot be read or does not fit the network, or parameters that stay
            would have random values.
    """
    if config.pretrained:
        return _pretrained(Path(config.pretrained).expanduser(), description, abstract.params)
    if start is not None:
        owner = f"config.model.start_from={config.start_from}"
        return _started(owner, start, description, abstract, frozen)
    return Initial({})


def _pretrained(file: Path, description: Description, params: Any) -> Initial:
    """The encoder's values from ImageNet's weights."""
    fields = description.fields
    if not {"resnet", "transformer"} <= params.get("encoder", {}).keys():
        raise UserError(
            f"config.model.pretrained: {description.network} has no hybrid encoder (a CNN and a "
            "Transformer), which these weights are for."
        )
    if len(fields["slabs"]) not in (0, 3):
        raise UserError(
            "config.model.pretrained: ImageNet's weights have three input channels; name one slab "
            "or three in config.data.slab."
        )
    shapes = encoder_shapes(params)
    values = pretrained_encoder(file, shapes, fields["grid"], fields["num_heads"])
    return Initial({f"params/encoder/{path}": value for path, value in values.items()})


def _started(
    owner: str,
    stored: Stored,
    description: Description,
    abstract: TrainState,
    frozen: Collection[str],
) -> Initial:
    """The values of a trained network, as far as they fit."""
    theirs, variables, path = stored
    ours = {"params": abstract.params, "batch_stats": abstract.batch_stats}
    shapes = {path: leaf.shape for path, leaf in flatten_dict(ours, sep="/").items()}
    start = start_values(theirs, variables, description, shapes, owner)
    # The second part of a path is the module, after `params` or `batch_stats`.
    if random := [name for name in start.left if name.split("/")[1] in frozen]:
        names = [name.partition("/")[2] for name in random]
        raise UserError(
            f"{owner} has no values for {first_few(names)}, and config.optimizer.encoder_rate=0 "
            "would keep the random initial ones; set a rate above 0, or build the encoder as that "
            "network has it."
        )
    return Initial(start.values, _sentence(start, theirs, description, path))


def _sentence(start: Start, theirs: Description, ours: Description, path: Path) -> str:
    """What was taken from `path`, and what was not."""
    total = len(start.values) + len(start.left)
    parts = [f"Started from {path}: {len(start.values)} of {total} arrays"]
    if start.resized:
        grids = ("x".join(map(str, one.fields["grid"])) for one in (theirs, ours))
        parts.append(f"position embeddings resized from {' to '.join(grids)}")
    if start.adapted:
        slabs = (len(one.fields["slabs"]) or 1 for one in (theirs, ours))
        old, new = (counted(number, "slab") for number in slabs)
        parts.append(f"the first convolution adapted from {old} to {new}")
    if not start.left:
        return f"{', '.join(parts)}."
    names = [name.partition("/")[2] for name in start.left]
    return f"{', '.join(parts)}; with random initial values: {first_few(names)}."
