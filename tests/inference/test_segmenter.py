"""A trained network: load, predict, save."""

import copy

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import s2a_jax
from s2a_jax import S2ANet
from s2a_jax.biomarkers.measure import measure
from s2a_jax.cli import run as main
from s2a_jax.convert.files import write_state_dict
from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.errors import UserError
from s2a_jax.inference.segmenter import Segmenter
from s2a_jax.inputs.images import resize_image
from tests.networks import drawn_unet

BOUNDS = {
    "faz_area_mm2": 0.05,
    "vessel_density": 0.15,
    "skeleton_density_per_mm": 0.15,
    "vessel_diameter_index_um": 0.15,
    "branch_point_density_per_mm2": 0.5,
    "fractal_dimension": 0.05,
}
"""Relative differences of biomarkers between numbers of pixels, as docs/biomarkers.md states."""


@pytest.fixture(scope="module")
def model():
    return drawn_unet()


def test_names_are_exported():
    assert issubclass(S2ANet, Segmenter)
    assert {"Analysis", "S2ANet", "__version__"} <= set(dir(s2a_jax))
    assert not hasattr(s2a_jax, "UNet")


@pytest.mark.parametrize("shape", [(50, 70), (32, 32), (20, 90)])
def test_masks_have_the_images_size(model, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    rv, faz = model.predict(image)
    assert rv.shape == faz.shape == shape
    assert rv.dtype == faz.dtype == bool


def test_kinds_of_arrays_agree(model):
    grey = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    expected = model.predict_proba(grey)["rv"]
    for image in (
        np.repeat(grey[..., None], 3, axis=-1),
        grey.astype(np.uint16) * 257,
        (grey / 255).astype(np.float64),
    ):
        np.testing.assert_allclose(model.predict_proba(image)["rv"], expected, atol=1e-5)
    assert 0 <= expected.min() <= expected.max() <= 1


@pytest.mark.parametrize("image", [np.zeros(5), np.zeros((4, 4, 2)), np.full((4, 4), np.nan)])
def test_arrays_that_are_not_images_are_refused(model, image):
    with pytest.raises(UserError):
        model.predict(image)


def test_what_a_network_was_trained_on_is_kept(model, tmp_path):
    known = S2ANet("unet", model.fields, model.variables, "deep", (5.0, 7.5), ("faz",))
    known.save(tmp_path / "weights.safetensors")
    loaded = S2ANet.load_from_checkpoint(tmp_path / "weights.safetensors")
    assert (loaded.slab, loaded.pitches_um, loaded.tasks) == ("deep", (5.0, 7.5), ("faz",))
    assert loaded.fingerprint() == known.fingerprint() != model.fingerprint()


def test_exported_weights_predict_the_same(model, tmp_path):
    image = np.random.default_rng(1).uniform(size=(32, 32))
    model.save(tmp_path / "weights.safetensors")
    loaded = S2ANet.load_from_checkpoint(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(
        loaded.predict_proba(image)["faz"], model.predict_proba(image)["faz"]
    )


def test_half_precision_takes_half_the_space(model, tmp_path):
    image = np.random.default_rng(1).uniform(size=(32, 32))
    model.save(tmp_path / "whole.safetensors")
    model.save(tmp_path / "half.safetensors", half=True)
    whole, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half"))
    (tmp_path / "any").touch()
    modes = {(tmp_path / name).stat().st_mode for name in ("any", "whole.safetensors")}
    assert len(modes) == 1  # who may read other new files may read weights
    numbers = sum(leaf.size for leaf in jax.tree.leaves(model.variables))
    assert whole - half == pytest.approx(2 * numbers, rel=0.01)
    loaded = S2ANet.load_from_checkpoint(tmp_path / "half.safetensors")
    assert jax.tree.leaves(loaded.variables)[0].dtype == np.float32
    np.testing.assert_allclose(
        loaded.predict_proba(image)["rv"], model.predict_proba(image)["rv"], atol=2e-3
    )


@pytest.fixture(scope="module")
def shipped():
    return S2ANet.pretrained()


def test_biomarkers_of_an_eye_do_not_depend_on_its_number_of_pixels(shipped):
    """Means over two synthetic eyes of 3 mm; `benchmarks.resolution` measures more."""
    means = {}
    for size in (304, 768):
        found = []
        for number in range(2):
            eye = synthesize_eye((11, number), EyeParameters(size=size))
            computed = shipped.compute(eye.image, um_per_px=3000 / size)
            assert computed.probability["rv"].shape == (size, size)
            masks = (computed.at_network[task] >= 0.5 for task in ("rv", "faz"))
            found.append(measure(*masks, um_per_px=computed.um_per_px))
        means[size] = {name: np.mean([each[name] for each in found]) for name in BOUNDS}
    for name, bound in BOUNDS.items():
        assert means[768][name] == pytest.approx(means[304][name], rel=bound), name


def test_an_enlarged_scan_of_6_mm_keeps_its_biomarkers(shipped):
    """Its pixels are as small as those of sharp 3 mm scans, which the network would take it for."""
    eye = synthesize_eye(21, EyeParameters(size=400, field_mm=6.0)).image
    own, large = (
        shipped.analyze(resize_image(eye / np.float32(255), (size, size)), field_mm=6)
        for size in (400, 1024)
    )
    for name, bound in (("faz_area_mm2", 0.05), ("vessel_diameter_index_um", 0.1)):
        assert large.biomarkers[name] == pytest.approx(own.biomarkers[name], rel=bound)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"field_mm": 3, "um_per_px": 9}, "not both"),
        ({"field_mm": 3}, "15 um high and 10 um wide"),  # 200 x 300 pixels
        ({"field_mm": "3"}, "field_mm='3': expected 1 to 30 mm"),
        ({"threshold": 3.0}, r"threshold=3.0 is outside \[0, 1\]"),
        ({"axial_length_mm": 3.0}, "axial"),
        ({"laterality": "up"}, "laterality"),
    ],
)
def test_arguments_of_analyze_that_cannot_be(model, arguments, message):
    with pytest.raises(UserError, match=message):
        model.analyze(np.zeros((200, 300)), **arguments)


def test_the_shipped_network_finds_vessels_and_faz(shipped):
    def dice(predicted, truth):
        return 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum())

    found = []
    for number in range(4):
        eye = synthesize_eye((11, number), EyeParameters(size=304))  # none is a training eye
        rv, faz = shipped.predict(eye.image)
        deep = shipped.predict(eye.deep)[1]
        found.append((dice(rv, eye.rv), dice(faz, eye.faz), dice(deep, eye.deep_faz)))
    rv, faz, deep = np.mean(found, axis=0)
    assert rv > 0.82
    assert faz > 0.95
    assert deep > 0.88


def test_several_slabs(tmp_path, capsys):
    slabs = ("deep", "superficial")
    model = drawn_unet(slabs)
    model.save(tmp_path / "weights.safetensors")
    loaded = S2ANet.load_from_checkpoint(tmp_path / "weights.safetensors")
    assert loaded.slabs == slabs
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 2), np.uint8)
    expected = model.predict_proba(image)["rv"]
    assert expected.shape == (40, 50)
    np.testing.assert_array_equal(loaded.predict_proba(image)["rv"], expected)
    assert not np.allclose(model.predict_proba(image[..., ::-1])["rv"], expected, atol=1e-5)
    for other in (image[..., 0], np.zeros((40, 50, 3), np.uint8)):
        with pytest.raises(UserError, match=r"takes \[H, W, 2\], the slabs deep, superficial"):
            model.predict(other)
    # On the command line, the files of an eye are joined by commas.
    paths = [tmp_path / slab / "eye.png" for slab in slabs]
    for i, path in enumerate(paths):
        path.parent.mkdir()
        Image.fromarray(image[..., i]).save(path)
    predict = ["predict", "--weights", str(tmp_path / "weights.safetensors"), "--out",
               str(tmp_path / "out")]  # fmt: skip
    assert main([*predict, str(paths[0])]) == 2
    assert "takes deep,superficial of each eye in this order" in capsys.readouterr().err
    assert main([*predict, ",".join(map(str, paths))]) == 0
    mask = np.asarray(Image.open(tmp_path / "out/eye_rv.png"))
    np.testing.assert_array_equal(mask > 0, expected >= 0.5)
    # Or folders that hold the slabs under the same names; `measure` takes the same arguments.
    Image.fromarray(image[..., 0]).save(paths[0].parent / "other.png")
    folders = ",".join(str(path.parent) for path in paths)
    assert main([*predict, folders]) == 2
    assert "other: " in capsys.readouterr().err
    Image.fromarray(image[..., 1]).save(paths[1].parent / "other.png")
    assert main([*predict, folders]) == 0
    again = np.asarray(Image.open(tmp_path / "out/other_rv.png"))
    np.testing.assert_array_equal(again, mask)
    measure = ["measure", *predict[1:3], "--um-per-px", "20", "--out", str(tmp_path / "eyes.csv")]
    assert main([*measure, str(paths[0].parent)]) == 2
    assert "takes deep,superficial of each eye in this order" in capsys.readouterr().err
    assert main([*measure, ",".join(map(str, paths))]) == 0
    header, row = (line.split(",") for line in (tmp_path / "eyes.csv").read_text().splitlines())
    found = dict(zip(header, row, strict=True))
    assert float(found["vessel_density"]) == pytest.approx((mask > 0).mean(), rel=1e-5)


def test_paths_without_weights_are_named(tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no weights")
    for path in (tmp_path / "nothing", tmp_path, damaged):
        with pytest.raises(UserError, match=str(path)):
            S2ANet.load_from_checkpoint(path)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_weights_of_pytorch_are_refused_with_the_command_that_converts_them(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    write_state_dict(path, {"Conv1.conv.0.weight": np.zeros((2, 3, 3, 3), np.float32)})
    with pytest.raises(UserError, match=f"convert --network NAME --from {path} --to"):
        S2ANet.load_from_checkpoint(path)
    path.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(UserError, match=f"{path} is a web page"):
        S2ANet.load_from_checkpoint(path)


@pytest.mark.parametrize(
    ("description", "named"),
    [
        ("{", "does not name the format 1"),
        ("[]", "does not name the format 1"),
        ('{"format": true, "network": "unet"}', "does not name the format 1"),
        ('{"format": 2, "network": "unet"}', "has format 2, which a newer s2a_jax wrote"),
        ('{"network": "unet", "fields": {}}', "tasks=None; expected"),
        ('{"network": "unet", "fields": {}, "tasks": ["faz", "rv"]}', "a list of rv and faz"),
        ('{"network": "unet", "fields": {}, "tasks": ["rv"], "pitches_um": [7, 5]}', "in order"),
        ('{"network": "unet", "fields": {}, "tasks": ["rv"], "pitches_um": 7}', "two micrometres"),
        ('{"network": "unet", "fields": {}, "tasks": ["rv"], "pitches_um": [0, NaN]}', "nan"),
        ('{"network": "unet"}', "does not name its network"),
        ('{"fields": {}}', "does not name its network"),
        ('{"network": "resnet", "fields": {}, "tasks": ["rv"]}', "Unknown network 'resnet'"),
        ('{"network": "unet", "fields": {"depth": 3}, "tasks": ["faz"]}', "no field 'depth'"),
        (
            '{"network": "unet", "fields": {"widths": "wide"}, "tasks": ["rv"]}',
            "widths='wide': expected whole",
        ),
        (
            '{"network": "unet", "fields": {"dtype": "float31"}, "tasks": ["rv"]}',
            "dtype='float31': expected float32",
        ),
    ],
)
def test_damaged_descriptions_name_the_file(tmp_path, description, named):
    path = tmp_path / "weights.safetensors"
    if "format" not in description:
        description = description.replace("{", '{"format": 1, ', 1)
    save_file({"params/a": np.zeros(1)}, path, metadata={"s2a_jax": description})
    with pytest.raises(UserError, match=rf"^{path}.*{named}"):
        S2ANet.load_from_checkpoint(path)


def test_predictions_that_are_not_numbers_are_refused(model):
    damaged = copy.copy(model)
    damaged.variables = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), model.variables)
    with pytest.raises(UserError, match="weights are damaged"):
        damaged.predict(np.zeros((32, 32), np.uint8))


def test_weights_of_another_network_are_refused(model):
    other = model.fields | {"widths": (4, 4, 6, 6, 16)}
    with pytest.raises(UserError, match="not those of the network"):
        S2ANet("unet", other, model.variables)
