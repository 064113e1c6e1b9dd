"""The side of a pixel on the retina, where a data set tells it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SYNTHETIC_FIELD_MM = (2.0, 6.5)
"""Fields of view of synthetic eyes, whose vessels grow on a square of 6.5 mm."""

Pitch = Callable[[str, tuple[int, int]], float | None]
"""Id of a case, and height and width of its file in pixels -> um a pixel; None: nothing tells."""

_OCTA500_UM = {("3M", 304): 3000 / 304, ("6M", 400): 6000 / 400}
"""Subset and side of its images in pixels -> um."""
_SYNTHETIC_SET = re.compile(r"v(\d+)-\d+px-([\d.]+)(?:-([\d.]+))?mm-seed(\d+)-")
_SYNTHETIC_EYE = re.compile(r"(train|val|test)(\d+)")


def octa500_pitch(subset: str | None, native_size: tuple[int, int]) -> float | None:
    """Micrometres a pixel of an OCTA-500 file.

    Args:
      subset: "3M" or "6M".
      native_size: height and width of the file in pixels.

    Returns:
      3000/304 or 6000/400, or None for a file of another size, which was cropped or resized.
    """
    height, width = (int(side) for side in native_size)
    return _OCTA500_UM.get((subset, height)) if height == width else None


def raw_pitch(name: str, subset: str | None, root: Path) -> Pitch:
    """Of the files in a raw folder.

    Args:
      name: of the data set: octa500, rose or folder.
      subset: as `config.data.subset`.
      root: the folder; one of synthetic eyes tells their fields of view by its name.
    """
    if name == "octa500":
        return lambda _, size: octa500_pitch(subset, size)
    return _named_pitch(root) if name == "folder" else _unknown


def prepared_pitch(folder: Path) -> Pitch:
    """Of the cases of a prepared data set, whose folder is as `find_prepared` gives.

    Raises:
      UserError: the files are damaged, or not ones that `prepare` wrote.
    """
    # Only now: TFDS takes a moment to import.
    from s2a_jax.data.prepared.load import prepared_origin

    name, subset = prepared_origin(folder)
    if name != "synthetic":
        return raw_pitch(name, subset, folder)
    homes = (parent for parent in folder.parents if _SYNTHETIC_SET.match(parent.name))
    return _named_pitch(next(homes, folder))


def config_pitch(config: Mapping[str, Any]) -> Pitch:
    """Of the files of the data set that a configuration names.

    Args:
      config: the data section; `configs/default.py` tells its fields.

    Raises:
      UserError: nothing is prepared where expected.
    """
    if config["name"] == "prepared":
        from s2a_jax.data.prepared.load import find_prepared

        return prepared_pitch(find_prepared(config["root"]))
    if config["name"] == "synthetic":
        return _synthetic_pitch(config["synthetic"]["seed"], config["synthetic"]["field_mm"])
    return raw_pitch(config["name"], config["subset"], Path(config["root"]))


def _unknown(_: str, __: tuple[int, int]) -> None:
    return None


def _named_pitch(folder: Path) -> Pitch:
    """Of a folder of synthetic eyes, which `synthetic_folder` named after what they are."""
    match = _SYNTHETIC_SET.match(folder.expanduser().absolute().name)
    if match is None:
        return _unknown
    from s2a_jax.data.synthetic_set import VERSION

    version, low, high, seed = match.groups()
    if high is not None and int(version) != VERSION:  # which drew other fields perhaps
        return _unknown
    return _synthetic_pitch(int(seed), (float(low), float(high or low)))


def _synthetic_pitch(seed: int, field_mm: tuple[float, float]) -> Pitch:
    """Of a synthetic set: each eye's own field of view is drawn from the range."""
    low, high = field_mm

    def pitch(id_: str, size: tuple[int, int]) -> float | None:
        match = _SYNTHETIC_EYE.fullmatch(id_)
        height, width = (int(side) for side in size)
        if match is None or height != width:
            return None
        field = low
        if low < high:
            # Only now: the synthesis takes a moment to import.
            from s2a_jax.data.pairing import SPLITS
            from s2a_jax.data.synthetic_set import eye_recipe

            which = (SPLITS.index(match[1]), int(match[2]))
            field = eye_recipe(seed, height, (low, high), which)[1].field_mm
        return 1000 * field / height

    return pitch
