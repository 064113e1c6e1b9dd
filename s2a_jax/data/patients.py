"""Which patient an image shows, by its name."""

import re

_SIDES = frozenset(("od", "os", "r", "l", "re", "le", "right", "left"))
_BETWEEN = re.compile(r"[ _.-]+")
_ATTACHED = re.compile(r"(?<=[0-9])(?i:od|os|r|l)$|(?<=[a-z])O[DS]$")


def without_side(name: str) -> str:
    """The name of a case without the side of the eye, so that both eyes of a patient share it.

    Args:
        name: such as `p12_OD`, `12L` or `left-7`.
    """
    parts = [_ATTACHED.sub("", part) for part in _BETWEEN.split(name) if part.lower() not in _SIDES]
    return "_".join(parts) or name
