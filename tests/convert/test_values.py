"""Weights in other types than float32."""

import numpy as np
import pytest
import torch
from unets import convert, saved, unet_state

from s2a_jax.convert import from_torch
from s2a_jax.convert.weights import read_weights
from s2a_jax.errors import UserError


@pytest.fixture
def state():
    return unet_state()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda t: t.to_sparse(), "a sparse coo tensor"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "a quantized tensor"),
        (lambda t: t.to("meta"), "a meta"),
        (lambda t: t.to(torch.complex64), "holds complex64"),
        (lambda t: (100 * t).to(torch.int8), "holds int8"),
        (lambda t: t > 0, "holds bool"),
        (lambda t: t.clone().fill_(float("nan")), r"holds 1296 of 1296 values that are NaN"),
        (lambda t: torch.where(t == t.max(), float("inf"), t), "holds 1 of 1296 values"),
        (lambda t: t.double() * 1e300, "too large for float32"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor")
def test_weights_that_are_no_plain_numbers_are_refused_by_name(state, spoil, named):
    key = "Conv5.conv.3.weight"
    state[key] = spoil(state[key].clone())
    with pytest.raises(UserError, match=rf"Key '{key}' .*{named}"):
        from_torch("unet", state)


def test_float64_is_written_as_float32(tmp_path, capsys, state):
    path = saved(tmp_path / "x.pth", {name: t.double() for name, t in state.items()})
    assert convert(path, tmp_path / "y.safetensors") == 0
    assert f"{len(state)} arrays of float64 rounded to float32" in capsys.readouterr().out
    _, variables = read_weights(tmp_path / "y.safetensors")
    kernel = variables["params"]["head"]["kernel"]
    assert kernel.dtype == np.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(state, dtype):
    _, variables = from_torch("unet", {name: t.to(dtype) for name, t in state.items()})
    bias = variables["params"]["head"]["bias"]
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, state["Conv_1x1.bias"].to(dtype).float().numpy())
