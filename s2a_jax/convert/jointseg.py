"""Names and shapes of Joint-Seg's PyTorch checkpoint.

The reference numbers the decoders' levels 4, 3, 2, 1 as 6, 7, 8, 9.
"""

from collections.abc import Mapping
from typing import Any

from s2a_jax.convert.names import DOUBLE_CONV, Names, Rule, Shapes

_RULES: tuple[Rule, ...] = (
    (r"^level(\d)/", r"conv\1."),
    *((rf"^(faz|rv){level}_(up|fsm|fam|conv)", rf"\1_\g<2>{10 - level}") for level in (4, 3, 2, 1)),
    (r"(_up\d)_bn/", r"\1.up.1."),
    (r"(_up\d)/", r"\1.up.0."),
    (r"channel_attention/", "conv_atten."),
    (r"lateral/", "lateral_conv."),
    (r"(_fam\d)/fusion/", r"\1.offset."),
    (r"deformable/offset/", "dcpack_L2.p_conv."),
    (r"deformable/$", "dcpack_L2.conv."),
    (r"^rv4_msf/", "rv_attention."),
    (r"attention(\d)/", r"sam\1."),
    (r"(query|key)_bn/", r"\1.1."),
    (r"(query|key)/", r"\1.0."),
    (r"pair(\d)/conv/", r"fusion\1_1.conv.0."),
    (r"pair(\d)/bn/", r"fusion\1_1.conv.1."),
    (r"fusion(\d)_bn/", r"fusion\1_2.1."),
    (r"fusion(\d)/", r"fusion\1_2.0."),
    (r"^head/", "out."),
    *DOUBLE_CONV,
)


def _fields(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    del known  # the shapes determine all fields
    return {"widths": tuple(shapes[f"conv{level}.conv.0.weight"][0] for level in range(1, 6))}


NAMES = Names(_RULES, _fields, mark="faz_fsm6.conv.weight", unused=("faz_fsm5.*",))
