"""Files of weights that cannot be used: metadata, arrays, and files that are none."""

import json
import struct
import zipfile

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

from s2a_jax.convert.weights import Description
from s2a_jax.models.build import build_network, network_fields
from tests.mistakes.bad_images import PNG

FIELDS = network_fields({"name": "unet", "variant": "tiny", "dtype": "float32"}, 32)
KERNEL = "params/encoder/level1/conv1/conv/kernel"
DEEP = '{"network": "unet", "fields": ' + '{"a": ' * 50_000 + "1" + "}" * 50_001


@pytest.fixture(scope="module")
def arrays():
    """Name -> array of a network of 4,000 weights, all of them 0.5."""
    module = build_network("unet", FIELDS | {"widths": (1, 1, 1, 1, 1)})
    image = jax.ShapeDtypeStruct((1, 32, 32, 1), np.float32)
    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), image)
    return {
        name: np.full(leaf.shape, 0.5, np.float32)
        for name, leaf in flatten_dict(shapes, sep="/").items()
    }


def described(**changes):
    """The text in the metadata of a file, with some entries changed."""
    fields = FIELDS | {"widths": (1, 1, 1, 1, 1)}
    return json.dumps(Description("unet", fields).stored() | changes)


def field(network="unet", **changes):
    """The text in the metadata of a file, with some fields of the network changed."""
    if network == "unet":
        return described(fields=FIELDS | {"widths": (1, 1, 1, 1, 1)} | changes)
    own = network_fields({"name": network, "variant": "tiny", "dtype": "float32"}, 32)
    return described(network=network, fields=own | changes)


DESCRIPTIONS = {
    "empty": "",
    "cut": '{"network": ',
    "list": "[]",
    "number": "5",
    "null": "null",
    "deep": "[" * 100_000,
    "deep-fields": DEEP,
    "long-number": '{"network": "unet", "fields": {"widths": ' + "9" * 6000 + "}}",
    "nothing": "{}",
    "no-fields": '{"network": "unet"}',
    "network-number": described(network=5),
    "network-list": described(network=["unet"]),
    "network-unknown": described(network="resnet"),
    "network-other": described(network="jointseg"),
    "fields-null": described(fields=None),
    "fields-list": described(fields=[]),
    "slab-number": described(slab=5),
    "pitches-number": described(pitches_um=5),
    "pitches-one": described(pitches_um=[1]),
    "pitches-order": described(pitches_um=[2, 1]),
    "pitches-text": described(pitches_um=["a", "b"]),
    "pitches-bool": described(pitches_um=[True, True]),
    "pitches-negative": described(pitches_um=[-1, 1]),
    "pitches-nan": described(pitches_um=[float("nan"), 1]),
    "pitches-infinite": described(pitches_um=[1, float("inf")]),
    "tasks-none": described(tasks=[]),
    "tasks-null": described(tasks=None),
    "tasks-number": described(tasks=5),
    "tasks-object": described(tasks={"rv": 1}),
    "tasks-unknown": described(tasks=["rv", "disc"]),
    "tasks-order": described(tasks=["faz", "rv"]),
    "tasks-nested": described(tasks=[["rv"]]),
    "field-unknown": field(depth=3),
    "field-parent": field(parent=5),
    "field-name": field(name="x"),
    "field-class": field(__class__=3),
    "widths-null": field(widths=None),
    "widths-number": field(widths=5),
    "widths-text": field(widths="12345"),
    "widths-few": field(widths=[3]),
    "widths-zero": field(widths=[0, 1, 1, 1, 1]),
    "widths-negative": field(widths=[1, 1, 1, 1, -1]),
    "widths-fraction": field(widths=[1, 1, 1, 1, 1.5]),
    "widths-bool": field(widths=[True] * 5),
    "widths-huge": field(widths=[10**9] * 5),
    "widths-many": field(widths=[1] * 100_000),
    "widths-object": field(widths={}),
    "heads-number": field(heads=5),
    "heads-unknown": field(heads="many"),
    "heads-list": field(heads=["own"]),
    "slabs-null": field(slabs=None),
    "slabs-one": field(slabs=["FULL"]),
    "slabs-twice": field(slabs=["FULL", "FULL"]),
    "slabs-numbers": field(slabs=[1, 2]),
    "slabs-nested": field(slabs=[["a"], ["b"]]),
    "slabs-other": field(slabs=["FULL", "OPL_BM"]),
    "dtype-null": field(dtype=None),
    "dtype-number": field(dtype=5),
    "dtype-list": field(dtype=["float32"]),
    "dtype-integer": field(dtype="int8"),
    "dtype-unknown": field(dtype="float31"),
    "dtype-narrow": field(dtype="float8_e4m3fn"),
    "layers-huge": field("s2anet", lcem_layers=[10**9]),
    "layers-null": field("s2anet", gcem_layers=None),
    "layers-text": field("s2anet", gcem_layers=["1"]),
    "dropout-null": field("s2anet", dropout_rate=None),
    "dropout-text": field("s2anet", dropout_rate="0.1"),
    "dropout-nan": field("s2anet", dropout_rate=float("nan")),
    "grid-one": field("s2anet", grid=[3]),
    "grid-number": field("s2anet", grid=3),
    "grid-huge": field("s2anet", grid=[10**9, 10**9]),
    "groups": field("s2anet", groups=3),
    "blocks-huge": field("transunet", num_blocks=10**9),
    "vaff-slabs": field("vaffnet", slabs=["a", "b"]),
    "vaff-units": field("vaffnet", units=[1]),
}
"""Name -> text of the metadata."""


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_descriptions(tmp_path, refused, arrays, name):
    file = f"{name}.safetensors"
    save_file(arrays, tmp_path / file, {"s2a_jax": DESCRIPTIONS[name]})
    (tmp_path / "eye.png").write_bytes(PNG)
    refused(["predict", "--weights", file, "--out", "out", "eye.png"], file)
    refused(["convert", "--from", file, "--to", "a.npz"], file)


ARRAYS = {
    "missing": (lambda a: a.pop(KERNEL), f"{KERNEL} is missing"),
    "extra": (lambda a: a.update(more=np.ones(2, np.float32)), "more is (2,)"),
    "extra-empty": (lambda a: a.update({"": np.ones(2, np.float32)}), "is (2,)"),
    "shape": (lambda a: a.update({KERNEL: np.ones(3, np.float32)}), f"{KERNEL} is (3,)"),
    "rank": (lambda a: a.update({KERNEL: a[KERNEL][None]}), KERNEL),
    "params": (lambda a: a.update(params=np.ones(2, np.float32)), "an array 'params'"),
    "below": (lambda a: a.update({f"{KERNEL}/x": np.ones(2, np.float32)}), f"array {KERNEL!r}"),
    "slash": (lambda a: a.update({f"{KERNEL}/": np.ones(2, np.float32)}), f"array {KERNEL!r}"),
    "int64": (lambda a: a.update({KERNEL: np.ones(a[KERNEL].shape, int)}), "int64 values"),
    "uint8": (lambda a: a.update({KERNEL: a[KERNEL].astype(np.uint8)}), "uint8 values"),
    "bool": (lambda a: a.update({KERNEL: a[KERNEL] > 0}), "bool values"),
    "complex": (lambda a: a.update({KERNEL: a[KERNEL].astype(np.complex64)}), "complex"),
    "nan": (lambda a: a.update({KERNEL: a[KERNEL] * np.nan}), "NaN, infinite"),
    "infinite": (lambda a: a.update({KERNEL: a[KERNEL] + np.inf}), "NaN, infinite"),
    "large": (lambda a: a.update({KERNEL: a[KERNEL].astype(float) * 1e300}), "too large"),
    "none": (lambda a: a.clear(), "missing"),
}
"""Name -> what happens to the arrays, and a part of the sentence."""


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path, refused, arrays, name):
    spoil, named = ARRAYS[name]
    given = dict(arrays)
    spoil(given)
    save_file(given, tmp_path / "w.safetensors", {"s2a_jax": described()})
    (tmp_path / "eye.png").write_bytes(PNG)
    refused(["convert", "--from", "w.safetensors", "--to", "a.npz"], "w.safetensors", named)
    refused(["predict", "--weights", "w.safetensors", "--out", "out", "eye.png"], named)


def _header(entries, body=b""):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + body


def _entry(kind, shape):
    entries = {"params/x": {"dtype": kind, "shape": shape, "data_offsets": [0, 4]}}
    return _header(entries | {"__metadata__": {"s2a_jax": described()}}, bytes(4))


FILES = {
    "empty.safetensors": b"",
    "short.safetensors": b"\x08",
    "long-header.safetensors": struct.pack("<Q", 2**62) + b"{}",
    "broken-header.safetensors": struct.pack("<Q", 8) + b"{nothing" + bytes(8),
    "deep-header.safetensors": struct.pack("<Q", 80_000) + b'{"a":' * 16_000 + bytes(8),
    "many-elements.safetensors": _entry("F32", [10**12]),
    "negative.safetensors": _entry("F32", [-1]),
    "float8.safetensors": _entry("F8_E4M3", [4]),
    "unknown-type.safetensors": _entry("F33", [1]),
    "text.safetensors": b"no weights\n",
    "page.safetensors": b"<!DOCTYPE html><html></html>",
    "lfs.safetensors": b"version https://git-lfs.github.com/spec/v1\n",
    "gzip.safetensors": b"\x1f\x8b" + bytes(40),
    "hdf5.safetensors": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "junk.onnx": b"junk",
    "junk.stablehlo": b"junk",
    "empty.onnx": b"",
    "empty.stablehlo": b"",
    "zip.safetensors": b"PK\x05\x06" + bytes(18),
    "cut-zip.safetensors": b"PK\x03\x04" + bytes(40),
}
"""File name -> content."""


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path, refused, name):
    (tmp_path / name).write_bytes(FILES[name])
    (tmp_path / "eye.png").write_bytes(PNG)
    rest = ["--weights", name]
    refused(["predict", *rest, "--out", "out", "eye.png"], name)
    refused(["analyze", *rest, "--out", "out", "eye.png"], name)
    refused(["measure", *rest, "--out", "a.csv", "--field-mm=3", "eye.png"], name)
    refused(["evaluate", *rest, "--data", "."], name)
    refused(["export", *rest, "--to", "a.onnx"], name)
    refused(["serve", *rest], name)
    refused(["convert", "--network=unet", "--from", name, "--to", "a.safetensors"], name)


def _npy(header):
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


MEMBERS = {
    "elements": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}\n"),
    "overflow": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000, 10**10)}\n"),
    "negative": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}\n"),
    "objects": _npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n") + b"\x80\x04N.",
    "broken": _npy("{'descr': nothing}\n"),
    "short": b"\x93NUMPY",
    "text": b"no array",
    "cut": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}\n") + bytes(8),
    "nothing": b"",
}
"""Name -> content of the one array of an npz file."""


@pytest.mark.parametrize("name", MEMBERS)
def test_npz_files(tmp_path, refused, name):
    with zipfile.ZipFile(tmp_path / f"{name}.npz", "w") as archive:
        archive.writestr("encoder.level1.conv1.weight.npy", MEMBERS[name])
    command = ["convert", "--network=unet", "--from", f"{name}.npz", "--to", "a.safetensors"]
    refused(command, f"{name}.npz" if name not in ("text", "nothing") else "")


def test_an_npz_file_that_unpacks_to_more_than_memory_holds(tmp_path, refused):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.npy", "b.npy"):
            archive.writestr(name, bytes(1000))
    content = path.read_bytes()  # each array claims 4 GiB
    path.write_bytes(content.replace(struct.pack("<I", 1000), struct.pack("<I", 2**32 - 2)))
    refused(["convert", "--network=unet", "--from", "bomb.npz", "--to", "a.safetensors"], "bomb")


CHECKPOINTS = {
    "none": (),
    "empty": ("3/",),
    "text": ("3/_CHECKPOINT_METADATA", "3/meta/metadata", "3/state/_METADATA"),
    "no-arrays": ("3/_CHECKPOINT_METADATA", "3/meta/metadata", "3/state/"),
    "unfinished": ("3.orbax-checkpoint-tmp-1/",),
    "file": ("3",),
    "other": ("x/", "y"),
}
"""Name -> files, and folders with / at the end, below the checkpoints of a run."""


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints(tmp_path, refused, name):
    place = tmp_path / "run/checkpoints"
    place.mkdir(parents=True)
    for path in CHECKPOINTS[name]:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).mkdir() if path.endswith("/") else (place / path).write_text("no JSON")
    (tmp_path / "eye.png").write_bytes(PNG)
    refused(["predict", "--weights", "run", "--out", "out", "eye.png"], "run")
