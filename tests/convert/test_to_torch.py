"""State dicts for the original networks, which hold parts that they never use."""

import copy

import jax
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict, unflatten_dict
from references import FIELDS, KNOWN, converted, reference, state_of
from refusals import assert_refused
from torch import nn

from parity.networks.s2anet import Branch
from parity.sides import inputs
from s2a_jax.cli import run as main
from s2a_jax.convert import from_torch, to_torch
from s2a_jax.convert.files import read_checkpoint
from s2a_jax.convert.torch_weights import missing_from
from s2a_jax.convert.weights import Description, module_fields, save_weights
from s2a_jax.errors import UserError

UNUSED_PARTS = {
    "s2anet": [
        "Multioutput_1.decoder", "Multioutput_11.decoder", "Multioutput_0_faz.decoder",
        "Multioutput_6_faz.decoder", "Multioutput_0.segmentation_head.0",
        "Multioutput_1_faz.segmentation_head.0", "decoder", "segmentation_head.0",
        "segmentation_head_faz.0", "transformer.encoder.layer.6",
    ],
    "jointseg": ["faz_fsm5.conv"],
    "vaffnet": ["cat_conv"],
    "unet": [],
    "transunet": [],
}  # fmt: skip
"""Parts that the released networks build and never use."""


def released(network, seed):
    """A network as released: the reference with the parts that it never uses."""
    module = reference(network, seed)
    for part in UNUSED_PARTS[network]:
        owner, _, name = part.rpartition(".")
        parent = module
        for step in filter(None, owner.split(".")):
            if step not in parent._modules:
                parent.add_module(step, nn.Module())
            parent = parent._modules[step]
        if name == "6":
            unused = copy.deepcopy(parent[0])
        elif name == "decoder":
            fields = FIELDS[network]
            decoder = {key: fields[key] for key in ("hidden", "width", "first_channels")}
            unused = Branch(**decoder, channels=fields["decoder_channels"]).decoder
        else:
            unused = nn.Conv2d(2, 2, 3)
        parent.add_module(name, unused.double())
    return module.eval()


def logits(network, module):
    images = torch.from_numpy(np.random.default_rng(0).uniform(size=(1, 32, 32)))
    with torch.no_grad():
        return module(*inputs(network, images))


@pytest.fixture(params=sorted(FIELDS))
def network(request):
    return request.param


@pytest.fixture
def weights(network):
    """Variables, and the logits of the network that they come from."""
    module = released(network, seed=0)
    _, variables = from_torch(network, module.state_dict(), **KNOWN[network])
    return variables, logits(network, module)


def tensors(state):
    return {name: torch.tensor(array) for name, array in state.items()}


def assert_same(ours, theirs):
    assert all(torch.equal(ours[task], theirs[task]) for task in ("rv", "faz"))


def test_with_a_template_the_original_loads_strictly(network, weights):
    variables, expected = weights
    original = released(network, seed=1)
    template = {f"module.{name}": tensor for name, tensor in original.state_dict().items()}
    state = to_torch(network, variables, {"state_dict": template})
    assert list(state) == list(original.state_dict())
    original.load_state_dict(tensors(state), strict=True)
    assert_same(logits(network, original), expected)


def test_without_a_template_only_unused_keys_are_missing(network, weights):
    variables, expected = weights
    original = released(network, seed=1)
    state = tensors(to_torch(network, variables))
    missing, unexpected = original.load_state_dict(state, strict=False)
    assert not unexpected
    parts = {name.rpartition(".")[0] for name in missing}
    assert all(any(p.startswith(part) for p in parts) for part in UNUSED_PARTS[network])
    assert bool(missing) == bool(missing_from(network))
    assert_same(logits(network, original), expected)
    if missing:
        with pytest.raises(RuntimeError, match="Missing key"):
            released(network, seed=1).load_state_dict(state, strict=True)


def test_junction_heads_come_from_the_template(caplog):
    module = reference("vaffnet")
    with_heads, variables = converted("vaffnet", module)
    assert with_heads.junctions
    flat = flatten_dict(variables, sep="/")
    plain = unflatten_dict({k: v for k, v in flat.items() if "junction" not in k}, sep="/")
    template = reference("vaffnet", seed=1)
    state = to_torch("vaffnet", plain, template.state_dict())
    assert "finaldeconv1_map" in caplog.text
    template.load_state_dict(tensors(state), strict=True)
    assert_same(logits("vaffnet", template), logits("vaffnet", module))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda s: s.pop("Conv2.conv.0.bias"), "no key 'Conv2.conv.0.bias'"),
        (lambda s: s.update({"Conv_1x1.bias": np.zeros(3)}), r"shape \(3,\) at 'Conv_1x1.bias'"),
        (lambda s: s.update({"Att5.weight": np.zeros(3)}), "key 'Att5.weight' that the weights"),
    ],
)
def test_templates_of_another_network_are_refused(spoil, named):
    state = state_of(reference("unet"))
    _, variables = from_torch("unet", state)
    spoil(state)
    with pytest.raises(UserError, match=named):
        to_torch("unet", variables, state)


def test_the_command_takes_a_template_or_says_what_is_missing(tmp_path, capsys):
    module, variables = converted("jointseg", reference("jointseg"))
    variables = jax.tree.map(lambda leaf: leaf.astype(np.float32), variables)
    source, template = tmp_path / "ours.safetensors", tmp_path / "original.pth"
    save_weights(source, Description("jointseg", module_fields(module)), variables)
    original = released("jointseg", seed=1).float().state_dict()
    torch.save({"net": original}, template)
    convert = ["convert", "--from", str(source), "--to", str(tmp_path / "x.pth")]
    assert main(convert) == 0
    said = capsys.readouterr().out
    assert "faz_fsm5.*: load the file with load_state_dict(..., strict=False)" in said
    assert main([*convert, "--template", str(template)]) == 0
    assert "strict=False" not in capsys.readouterr().out
    assert read_checkpoint(tmp_path / "x.pth").keys() == original.keys()
    code = main([*convert[:2], str(template), *convert[3:], "--template", str(template)])
    assert_refused(code, capsys.readouterr().err, "--template is for weights of this package")
    code = main([*convert, "--which", "ema"])
    assert_refused(code, capsys.readouterr().err, "--which is for PyTorch's files")
