"""The installed package, from an empty folder: nothing but s2a_jax, and every command works."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2a_jax import __version__

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("s2a_jax", "configs", "pyproject.toml", "requirements.txt", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: setuptools leaves its work beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        source, target = ROOT / name, folder / "source" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    _run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
          "--no-index", "--wheel-dir", folder, folder / "source"])  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def _run(command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=250, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_nothing_but_the_package_is_installed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "s2a_jax",
        f"s2a_jax-{__version__}.dist-info",
    }
    modules = {path.relative_to(ROOT) for path in (ROOT / "s2a_jax").rglob("*.py")}
    missing = {str(path) for path in modules} - set(names)
    assert not missing
    for path in (ROOT / "configs").glob("*.py"):
        assert f"s2a_jax/configs/{path.name}" in names
    for name in ("py.typed", "report/templates/report.html", "web/templates/page.js",
                 "training/weights/sim_to_real.safetensors"):  # fmt: skip
        assert f"s2a_jax/{name}" in names


@pytest.fixture(scope="module")
def program(wheel, tmp_path_factory):
    """The console script, in an environment that has the wheel and this one's dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    _run([sys.executable, "-m", "venv", "--without-pip", folder])
    (packages,) = folder.glob("lib/python*/site-packages")
    # A path file inside another environment is not read, so an editable install stays behind.
    (packages / "dependencies.pth").write_text(str(Path(np.__file__).parents[1]) + "\n")
    _run([sys.executable, "-m", "pip", "--quiet", "--python", folder / "bin/python", "install",
          "--no-deps", "--no-index", wheel])  # fmt: skip
    where = _run([folder / "bin/python", "-c", "import s2a_jax; print(s2a_jax.__file__)"], cwd="/")
    assert where.startswith(str(packages))
    return folder / "bin/s2a-jax"


def test_from_an_empty_folder_to_numbers(program, run_environment, shared, tmp_path):
    environment = run_environment | {"PYTHONPATH": ""}
    # A folder of the user's own that is called like one of ours.
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/__init__.py").write_text("raise ImportError('the wrong one')\n")

    def run(*arguments):
        return _run([program, *arguments], cwd=tmp_path, env=environment)

    assert run("--version") == f"s2a-jax {__version__}\n"
    eyes = f"--config.data.synthetic.root={shared / 'eyes'}"
    output = run("train", "--config", "synthetic:smoke", "--workdir", "run", eyes)
    assert "test: s2anet" in output and (tmp_path / "run/report.html").is_file()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "eye.png")
    run("predict", "--weights", "run", "--out", "masks", "eye.png")
    assert np.asarray(Image.open(tmp_path / "masks/eye_rv.png")).shape == (64, 64)
    run("measure", "--weights", "sim_to_real", "--field-mm", "3", "--out", "eyes.csv", "eye.png")
    assert (tmp_path / "eyes.csv").read_text().splitlines()[1].startswith("eye,")
    (tmp_path / "run/report.html").unlink()
    run("report", "--workdir", "run")
    assert "2 of 2 epochs" in (tmp_path / "run/report.html").read_text()
