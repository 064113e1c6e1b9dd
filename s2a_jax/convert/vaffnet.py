"""Names and shapes of VAFF-Net's PyTorch checkpoint."""

from collections.abc import Mapping
from typing import Any

from s2a_jax.convert.names import Names, Rule, Shapes

_HEADS = {"faz": "", "rv": "_v", "junction_map": "_map", "junction_grid": "_d"}

_RULES: tuple[Rule, ...] = (
    (r"^first_bn/", "firstbn_1."),
    (r"^first_conv(\d)/", r"firstconv_\1."),
    (r"^downsample(\d)/", r"firstdownsample_\1."),
    (r"^pyramid/stage(\d)_unit(\d+)/", r"encoder\1.\2."),
    (r"conv_downsample/", "downsample.0."),
    (r"bn_downsample/", "downsample.1."),
    (r"^pyramid/top/", "toplayer."),
    (r"^pyramid/lateral(\d)/", r"latlayer\1."),
    (r"^gate_faz/", "gate_conv_FAZ."),
    (r"^gate_rv/", "gate_conv_vessel."),
    (r"^gate_junction/", "gate_conv_juncM."),
    *((rf"^(gate_\w+\.)conv{i}/", rf"\g<1>{3 * i - 3}.") for i in (1, 2, 3)),
    *((rf"^(gate_\w+\.)bn{i}/", rf"\g<1>{3 * i - 2}.") for i in (1, 2, 3)),
    (r"vote/", "9."),
    *((rf"^head_{task}/conv1/", f"finaldeconv1{end}.") for task, end in _HEADS.items()),
    *((rf"^head_{task}/bn1/", f"finalBN{end}.") for task, end in _HEADS.items()),
    *((rf"^head_{task}/out/", f"finalconv2{end}.") for task, end in _HEADS.items()),
    (r"^head_junction_grid/conv2/", "finaldeconv1_d2."),
    (r"^head_junction_grid/bn2/", "finalBN_d2."),
)


def _fields(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    del known  # the shapes determine all fields
    fields = {
        "width": shapes["firstconv_1.weight"][0],
        "units": tuple(len(shapes.indices(rf"encoder{i}\.(\d+)\.")) for i in (1, 2, 3, 4)),
        "pyramid_features": shapes["toplayer.weight"][0],
        "gate_features": tuple(shapes[f"gate_conv_FAZ.{i}.weight"][0] for i in (0, 3, 6)),
        "head_features": shapes["finaldeconv1.weight"][0],
    }
    if "finaldeconv1_map.weight" in shapes:
        fields |= {
            "junctions": True,
            "map_features": shapes["finaldeconv1_map.weight"][0],
            "grid_features": shapes["finaldeconv1_d.weight"][0],
        }
    return fields


NAMES = Names(
    _RULES,
    _fields,
    mark="firstconv_1.weight",
    unused=("cat_conv*",),
    # The junction heads and their gate, which are built with junctions=True.
    optional=("gate_conv_juncM.*", "final*_map.*", "final*_d.*", "final*_d2.*"),
    # One batch norm serves the three slabs; the checkpoint holds it three times.
    aliases={"firstbn_1.": ("firstbn_2.", "firstbn_3.")},
)
