"""Which patient and which eye an image shows, by its name."""

import re

_SIDE = {"od": "OD", "r": "OD", "re": "OD", "right": "OD",
         "os": "OS", "l": "OS", "le": "OS", "left": "OS"}  # fmt: skip
_BETWEEN = re.compile(r"[ _.-]+")
_ATTACHED = re.compile(r"(?<=[0-9])(?i:od|os|r|l)$|(?<=[a-z])O[DS]$")


def without_side(name: str) -> str:
    """The name of a case without the side of the eye, so that both eyes of a patient share it.

    Args:
        name: such as `p12_OD`, `12L` or `left-7`.
    """
    parts = [_ATTACHED.sub("", part) for part in _BETWEEN.split(name) if part.lower() not in _SIDE]
    return "_".join(parts) or name


def side_of(name: str) -> str | None:
    """The eye that a name tells, "OD" or "OS"; None if it tells none, or both.

    Args:
        name: as for `without_side`.
    """
    attached = (_ATTACHED.search(part) for part in _BETWEEN.split(name))
    words = (*_BETWEEN.split(name), *(match[0] for match in attached if match))
    sides = {_SIDE[word.lower()] for word in words if word.lower() in _SIDE}
    return sides.pop() if len(sides) == 1 else None
