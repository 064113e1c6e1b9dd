"""Exported networks: what runtimes compute of them, and what is refused."""

import json
import sys
import zipfile

import jax
import numpy as np
import onnx
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from PIL import Image
from refusals import assert_refused

from s2a_jax import S2ANet
from s2a_jax.cli import run as main
from s2a_jax.commands import export as command
from s2a_jax.errors import UserError
from s2a_jax.export import check
from s2a_jax.export import onnx as onnx_writer
from s2a_jax.export.stablehlo import write_stablehlo
from s2a_jax.inference.runtimes import open_exported
from s2a_jax.models.build import build_network
from tests.networks import drawn_variables

FIELDS = {
    "width": 8,
    "units": (1, 1, 1),
    "groups": 4,
    "hidden": 16,
    "num_heads": 4,
    "mlp_width": 24,
    "first_channels": 8,
    "decoder_channels": (8, 6, 4, 4),
    "gcem_layers": (1,),
    "grid": (2, 3),
    "dtype": "float32",
}
RUNTIMES = {
    "onnx": ".onnx",
    "openvino": ".onnx",
    "openvino-bf16": ".onnx",
    "stablehlo": ".stablehlo",
}


@pytest.fixture(scope="module")
def model():
    """A network in which no weight has a trivial value."""
    variables = drawn_variables(build_network("s2anet", FIELDS), (1, 32, 48, 1))
    fields = json.loads(json.dumps(FIELDS))
    return S2ANet("s2anet", fields, variables, "FULL", (6.5, 10.0))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Weights, and what `export` writes of them."""
    folder = tmp_path_factory.mktemp("exported")
    model.save(folder / "x.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "SHAPES", ((2, 64, 32),))  # each size is compiled
        for suffix in (".onnx", ".stablehlo"):
            flags = ["--weights", str(folder / "x.safetensors"), "--to", str(folder / f"x{suffix}")]
            assert main(["export", *flags]) == 0
    return folder


@pytest.fixture(scope="module")
def eye():
    return np.random.default_rng(1).random((1, 48, 64), np.float32)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_runtime_computes_what_the_network_computes(runtime, folder, model, eye):
    exported = S2ANet.load_from_checkpoint(folder / f"x{RUNTIMES[runtime]}", runtime)
    assert exported.description == model.description
    opened = open_exported(folder / f"x{RUNTIMES[runtime]}", runtime)
    expected = jax.device_get(model._predict(model.variables, eye))
    found = opened.compute(eye)
    assert found.keys() == {"rv", "faz"}
    for task, probability in expected.items():
        assert found[task].shape == eye.shape and found[task].dtype == np.float32
        difference = np.abs(found[task] - probability).max()
        assert probability.std() > 1e-3
        if runtime == "openvino-bf16":
            assert difference < 0.05
        else:
            assert difference < 1e-5
    assert sys.modules.get("openvino_telemetry") is None  # nothing is reported to anyone
    (masks, _) = exported.predict_batch([eye[0], eye[0, :40]])  # the second one is padded
    np.testing.assert_array_equal(masks[0], found["rv"][0] >= 0.5)


def test_jax_alone_reads_stablehlo_for_any_size_and_platform(folder):
    exported = jax.export.deserialize((folder / "x.stablehlo").read_bytes())
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert [str(aval) for aval in exported.in_avals] == ["float32[b,16*h,16*w]"]
    assert jax.tree.unflatten(exported.out_tree, [0, 0]) == {"rv": 0, "faz": 0}


def test_predict_takes_an_exported_network(folder, model, tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (48, 64), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "eye.png")
    flags = ["--weights", str(folder / "x.onnx"), "--runtime", "openvino", "--um-per-px", "8"]
    assert main(["predict", *flags, "--out", str(tmp_path), str(tmp_path / "eye.png")]) == 0
    for task, mask in zip(("rv", "faz"), model.predict(pixels), strict=True):
        assert 0 < mask.mean() < 1
        found = np.asarray(Image.open(tmp_path / f"eye_{task}.png"))
        np.testing.assert_array_equal(found, mask * np.uint8(255))


def test_a_task_without_training_is_not_exported(model, tmp_path):
    description = model.description._replace(tasks=("rv",))
    write_stablehlo(tmp_path / "x.stablehlo", description, jax.device_get(model.variables))
    assert S2ANet.load_from_checkpoint(tmp_path / "x.stablehlo").tasks == ("rv",)
    exported = jax.export.deserialize((tmp_path / "x.stablehlo").read_bytes())
    assert jax.tree.unflatten(exported.out_tree, [0]) == {"rv": 0}


def test_fingerprints_tell_runtimes_apart(folder, model):
    loaded = [
        S2ANet.load_from_checkpoint(folder / f"x{suffix}", runtime)
        for runtime, suffix in RUNTIMES.items()
    ]
    assert len({one.fingerprint() for one in (model, *loaded)}) == 5
    with pytest.raises(UserError, match="no weights to save"):
        loaded[0].save("x.safetensors")


def test_a_file_that_computes_something_else_is_not_written(folder, tmp_path, monkeypatch, capsys):
    def write_wrong(path, description, variables):
        flat = flatten_dict(variables)
        head = "params", "heads", "gcem", "head", "bias"
        flat[head] = flat[head] - np.float32(0.001)
        write_stablehlo(path, description, unflatten_dict(flat))

    monkeypatch.setattr(command, "WRITERS", {".stablehlo": write_wrong})
    target = tmp_path / "x.stablehlo"
    target.write_text("before")
    code = main(["export", "--weights", str(folder / "x.safetensors"), "--to", str(target)])
    assert_refused(code, capsys.readouterr().err, f"{target} is not written")
    assert [*tmp_path.iterdir()] == [target] and target.read_text() == "before"


@pytest.mark.parametrize("name", ["x.onnx", "x.stablehlo"])
@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text"])
def test_damaged_files_are_refused(name, damage, folder, tmp_path):
    content = bytearray((folder / name).read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "changed":
        content[:40] = content[1000:1040]
    elif damage == "empty":
        content = b""
    else:
        content = b"<!doctype html>"
    (tmp_path / name).write_bytes(content)
    runtimes = [runtime for runtime, suffix in RUNTIMES.items() if name.endswith(suffix)]
    for runtime in runtimes:
        with pytest.raises(UserError, match=f"{name} is damaged"):
            S2ANet.load_from_checkpoint(tmp_path / name, runtime)


def test_one_changed_weight_in_stablehlo_is_found(folder, tmp_path):
    content = bytearray((folder / "x.stablehlo").read_bytes())
    with zipfile.ZipFile(folder / "x.stablehlo") as archive:
        middle = archive.infolist()[0].header_offset // 2
    content[middle] ^= 1
    (tmp_path / "x.stablehlo").write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        S2ANet.load_from_checkpoint(tmp_path / "x.stablehlo")


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_onnx_files_of_others_are_refused(runtime, tmp_path):
    value = [onnx.helper.make_tensor_value_info(name, 1, ["n"]) for name in "xy"]
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", value[:1], value[1:])
    opsets = [onnx.helper.make_opsetid("", 20)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "y.onnx"
    )
    with pytest.raises(UserError, match=r"s2a_jax did not write .*y\.onnx"):
        S2ANet.load_from_checkpoint(tmp_path / "y.onnx", runtime)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["export", "--weights", "x.safetensors", "--to", "x.tflite"], ".stablehlo or .onnx"),
        (["export", "--weights", "x.safetensors", "--to", "folder.onnx"], "is a folder"),
        (["export", "--weights", "x.onnx", "--to", "y.onnx"], "is exported already"),
        (["export", "--weights", "none", "--to", "y.onnx"], "No weights at none"),
        (["predict", "--weights", "none.onnx", "--out", "out", "e.png"], "Cannot read none.onnx"),
        (
            ["predict", "--weights", "x.safetensors", "--runtime", "onnx", "--out", "out", "e.png"],
            "The runtime onnx takes .onnx files, not x.safetensors",
        ),
        (
            ["predict", "--weights", "x.onnx", "--runtime", "tensorrt", "--out", "out", "e.png"],
            "--runtime",
        ),
    ],
)
def test_mistakes_are_refused(flags, named, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "folder.onnx").mkdir(exist_ok=True)
    Image.new("L", (64, 64)).save("e.png")
    assert_refused(main(flags), capsys.readouterr().err, named)
    assert not (folder / "y.onnx").exists() and not (folder / "out").exists()


@pytest.mark.parametrize(
    ("missing", "flags", "extra"),
    [
        ("flatbuffers", ["export", "--to", "y.stablehlo"], "stablehlo"),
        ("onnxscript", ["export", "--to", "y.onnx"], "export"),
        ("onnxruntime", ["predict", "--runtime", "onnx"], "onnx"),
        ("openvino", ["predict", "--runtime", "openvino"], "openvino"),
        ("flatbuffers", ["predict", "--runtime", "stablehlo"], "stablehlo"),
    ],
)
def test_a_missing_package_is_named(missing, flags, extra, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setitem(sys.modules, missing, None)
    Image.new("L", (64, 64)).save("e.png")
    if flags[0] == "export":
        flags = [*flags, "--weights", "x.safetensors"]
    else:
        flags = [*flags, "--weights", f"x{RUNTIMES[flags[2]]}", "--out", "out", "e.png"]
    remedy = f"needs {missing}: pip install -e '.[{extra}]'"
    assert_refused(main(flags), capsys.readouterr().err, remedy)


def test_an_installed_package_says_that_onnx_needs_a_checkout(
    folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(onnx_writer, "_CHECKOUT", tmp_path)
    target = str(tmp_path / "y.onnx")
    code = main(["export", "--weights", str(folder / "x.safetensors"), "--to", target])
    assert_refused(code, capsys.readouterr().err, "run the command in a checkout")
    assert not [*tmp_path.iterdir()]
