"""ImageNet weights of R50+ViT-B/16, from a small file under the original names."""

from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

from s2a_jax.convert.imagenet import encoder_shapes, pretrained_encoder
from s2a_jax.convert.weights import Description
from s2a_jax.errors import UserError
from s2a_jax.models.build import build_network, network_fields
from s2a_jax.training.initial import read_initial
from s2a_jax.training.sharding import make_mesh
from s2a_jax.training.state import abstract_state

WIDTH, HIDDEN, HEADS, MLP = 8, 48, 4, 96  # of the tiny variants
UNITS = (1, 1, 2)


@pytest.fixture(scope="module")
def arrays():
    """Three Transformer blocks on a 3x3 grid and a classifier, under their original names."""
    shapes = {"conv_root/kernel": (7, 7, 3, WIDTH)}
    shapes |= {f"gn_root/{leaf}": (1, 1, 1, WIDTH) for leaf in ("scale", "bias")}
    channels = WIDTH
    for stage, units in enumerate(UNITS, start=1):
        inner, out = WIDTH * 2 ** (stage - 1), 4 * WIDTH * 2 ** (stage - 1)
        for unit in range(1, units + 1):
            name = f"block{stage}/unit{unit}/"
            shapes[name + "conv1/kernel"] = (1, 1, channels, inner)
            shapes[name + "conv2/kernel"] = (3, 3, inner, inner)
            shapes[name + "conv3/kernel"] = (1, 1, inner, out)
            norms = {"gn1": inner, "gn2": inner, "gn3": out}
            if unit == 1:
                shapes[name + "conv_proj/kernel"] = (1, 1, channels, out)
                norms["gn_proj"] = out
            for norm, n in norms.items():
                shapes |= {f"{name}{norm}/{leaf}": (1, 1, 1, n) for leaf in ("scale", "bias")}
            channels = out
    shapes |= {"embedding/kernel": (1, 1, channels, HIDDEN), "embedding/bias": (HIDDEN,)}
    shapes["Transformer/posembed_input/pos_embedding"] = (1, 1 + 9, HIDDEN)
    size = HIDDEN // HEADS
    for block in range(3):
        name = f"Transformer/encoderblock_{block}/"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes |= {f"{name}{norm}/{leaf}": (HIDDEN,) for leaf in ("scale", "bias")}
        for part in ("query", "key", "value"):
            attention = f"{name}MultiHeadDotProductAttention_1/{part}/"
            shapes |= {
                attention + "kernel": (HIDDEN, HEADS, size),
                attention + "bias": (HEADS, size),
            }
        attention = f"{name}MultiHeadDotProductAttention_1/out/"
        shapes |= {attention + "kernel": (HEADS, size, HIDDEN), attention + "bias": (HIDDEN,)}
        for dense, (n, m) in {"Dense_0": (HIDDEN, MLP), "Dense_1": (MLP, HIDDEN)}.items():
            mlp = f"{name}MlpBlock_3/{dense}/"
            shapes |= {mlp + "kernel": (n, m), mlp + "bias": (m,)}
    shapes |= {f"Transformer/encoder_norm/{leaf}": (HIDDEN,) for leaf in ("scale", "bias")}
    shapes |= {"cls": (1, 1, HIDDEN), "head/kernel": (HIDDEN, 10), "head/bias": (10,)}
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def file(arrays, tmp_path):
    np.savez(tmp_path / "R50+ViT-B_16.npz", **arrays)
    return tmp_path / "R50+ViT-B_16.npz"


def state_shapes(network):
    fields = network_fields({"name": network, "variant": "tiny", "dtype": "float32"}, 64)
    module = build_network(network, fields)
    _, abstract = abstract_state(module, optax.sgd(0.1), 64, make_mesh(), seed=0, ema=False)
    return fields, abstract


@pytest.mark.parametrize("network", ["s2anet", "transunet"])
def test_the_encoder_starts_from_the_file(arrays, file, network):
    fields, abstract = state_shapes(network)
    section = SimpleNamespace(pretrained=str(file), start_from=None)
    values = read_initial(section, None, Description(network, fields), abstract).values
    shapes = encoder_shapes(abstract.params)
    params = {name: values[f"params/encoder/{name}"] for name in shapes}
    assert len(params) == len(values)
    assert all(params[name].shape == shape for name, shape in shapes.items())

    pairs = {
        "resnet/root_conv/kernel": "conv_root/kernel",
        "resnet/root_gn/bias": "gn_root/bias",
        "resnet/block3_unit1/downsample/kernel": "block3/unit1/conv_proj/kernel",
        "resnet/block3_unit2/conv2/kernel": "block3/unit2/conv2/kernel",
        "resnet/block2_unit1/gn_proj/scale": "block2/unit1/gn_proj/scale",
        "transformer/patch_embedding/kernel": "embedding/kernel",
        "transformer/norm/scale": "Transformer/encoder_norm/scale",
    }
    block = "Transformer/encoderblock_1/"
    for ours, theirs in {
        "attention_norm/scale": "LayerNorm_0/scale",
        "mlp_norm/scale": "LayerNorm_2/scale",
        "fc1/kernel": "MlpBlock_3/Dense_0/kernel",
        "fc2/bias": "MlpBlock_3/Dense_1/bias",
        **{
            f"attention/{name}": f"MultiHeadDotProductAttention_1/{name}"
            for name in ("query/kernel", "key/bias", "value/kernel", "out/kernel", "out/bias")
        },
    }.items():
        pairs[f"transformer/block_1/{ours}"] = block + theirs
    for ours, theirs in pairs.items():
        expected = arrays[theirs].reshape(params[ours].shape)
        np.testing.assert_array_equal(params[ours], expected, err_msg=ours)
    grid = arrays["Transformer/posembed_input/pos_embedding"][0, 1:].reshape(3, 3, HIDDEN)
    resized = params["transformer/position_embedding"].reshape(4, 4, HIDDEN)
    np.testing.assert_allclose(
        resized, jax.image.resize(grid, (4, 4, HIDDEN), "bilinear"), atol=1e-5
    )


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda a: a.pop("gn_root/scale"), "gn_root/scale"),
        (lambda a: a.update({"embedding/kernel": np.zeros((1, 1, 3, 5))}), "embedding/kernel"),
        (
            lambda a: a.update({"Transformer/posembed_input/pos_embedding": np.zeros((1, 9, 48))}),
            "class token",
        ),
    ],
)
def test_other_files_are_refused(arrays, tmp_path, spoil, named):
    arrays = dict(arrays)
    spoil(arrays)
    np.savez(tmp_path / "x.npz", **arrays)
    fields, abstract = state_shapes("s2anet")
    with pytest.raises(UserError, match=named):
        pretrained_encoder(
            tmp_path / "x.npz", encoder_shapes(abstract.params), fields["grid"], HEADS
        )


def test_units_may_be_numbered_with_two_digits(arrays, file, tmp_path):
    np.savez(tmp_path / "x.npz", **{k.replace("/unit", "/unit0"): a for k, a in arrays.items()})
    fields, abstract = state_shapes("s2anet")
    rest = encoder_shapes(abstract.params), fields["grid"], HEADS
    expected, values = (
        pretrained_encoder(file, *rest),
        pretrained_encoder(tmp_path / "x.npz", *rest),
    )
    assert all(np.array_equal(values[name], expected[name]) for name in expected)
    with pytest.raises(UserError, match="in 6 heads"):
        pretrained_encoder(file, *rest[:2], 6)
