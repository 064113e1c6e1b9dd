"""What a prepared data set was made of: which data set, which part of it, which slabs."""

from dataclasses import dataclass
from pathlib import Path

import tensorflow_datasets as tfds

from s2a_jax.data.builders import BUILDERS
from s2a_jax.data.prepared import prepared_slabs


@dataclass(frozen=True)
class Origin:
    """Where the cases of a prepared data set come from.

    Attributes:
      name: octa500, rose, folder or synthetic.
      subset: as `config.data.subset`; None for folders without subsets.
      slabs: names of the slabs of a case, where it has several; else ().
      slab: the one slab that was named to `prepare`; None: the data set's first, or several.
    """

    name: str
    subset: str | None
    slabs: tuple[str, ...]
    slab: str | None


def read_origin(folder: Path) -> Origin:
    """Reads it from the names that `prepare` gave.

    Args:
      folder: of one data set, as `find_prepared` gives.

    Raises:
      UserError: the files are damaged, or not ones that `prepare` wrote.
    """
    slabs = prepared_slabs(folder)
    builder = tfds.builder_from_directory(folder)
    part = builder.info.config_name or ""
    configs = BUILDERS[builder.name].BUILDER_CONFIGS if builder.name in BUILDERS else ()
    for config in configs:
        if part == config.name and not slabs:
            return Origin(builder.name, config.subset, (), config.slab)
    for config in configs:
        if config.slab is None and part.startswith(f"{config.name}_"):
            slab = None if slabs else part.removeprefix(f"{config.name}_")
            return Origin(builder.name, config.subset, slabs, slab)
    return Origin(builder.name, None, slabs, None)
