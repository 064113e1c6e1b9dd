"""Configurations that ship, configurations of one's own, and faults in them."""

import pytest

from s2a_jax.config import load
from s2a_jax.config.load import load_config, shipped_names
from s2a_jax.errors import UserError


@pytest.mark.parametrize("name", shipped_names())
def test_a_configuration_that_ships_is_found_by_name(name):
    config = load_config(name)
    assert config == load_config(str(load.SHIPPED / f"{name}.py"))
    assert config.keys() == load_config("default").keys()
    smoke = load_config(f"{name}:smoke")
    assert (smoke.model.variant, smoke.train.epochs, smoke.data.size) == ("tiny", 2, 96)


def test_a_configuration_of_ones_own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from s2a_jax.config.load import load_config\n"
        "def get_config(epochs='5'):\n"
        "    config = load_config('rose')\n"
        "    config.train.epochs = int(epochs)\n"
        "    return config\n"
    )
    assert load_config(str(path)).train.epochs == 5
    assert load_config(f"{path}:9").train.epochs == 9  # the text after the colon is passed on
    assert load_config(str(path)).data.name == "rose"
    path.write_text(path.read_text().replace("epochs='5'", "").replace("int(epochs)", "5"))
    assert load_config(f"{path}:smoke").train.epochs == 2
    with pytest.raises(UserError, match="expected FILE or FILE:smoke"):
        load_config(f"{path}:9")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config():\n    return [1][3]\n", r"mine\.py, line 2: IndexError"),
        ("def get_config(\n", r"mine\.py, line 1: "),
        ("import no_such_package\n", r"mine\.py, line 1: ModuleNotFoundError"),
        ("x = 1\n", "has no function get_config"),
        ("def get_config():\n    return {}\n", "returns dict; expected a ConfigDict"),
        (
            "from ml_collections import ConfigDict\n"
            "def get_config():\n    return ConfigDict({'seed': 1})\n",
            r"mine\.py: the configuration lacks config",
        ),
        (
            "from s2a_jax.config.load import load_config\n"
            "def get_config():\n"
            "    config = load_config('default')\n"
            "    config.data.mixture.others = ('name=folder,root=gs://bucket/eyes,weight=0.2',)\n"
            "    return config\n",
            r"^gs://bucket/eyes,weight=0\.2\S*: expected a file or folder, not an address; mount",
        ),
        ("\0", r"mine\.py"),
        ("def get_config(a, b):\n    return a\n", "TypeError"),
        (
            "from s2a_jax.config.load import load_config\n"
            "def get_config():\n"
            "    config = load_config('default')\n"
            "    config.train.epoch = 3\n"
            "    return config\n",
            r"mine\.py, line 4: there is no field epoch; did you mean config\.train\.epochs\?$",
        ),
    ],
)
def test_a_fault_in_a_file_is_named_with_its_line(tmp_path, monkeypatch, text, message):
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", str(tmp_path / "mine.py")):
        with pytest.raises(UserError, match=message) as refusal:
            load_config(name)
        assert "None" not in str(refusal.value)


def test_a_file_without_suffix_hides_no_configuration_that_ships(tmp_path, monkeypatch):
    (tmp_path / "default").write_text("no Python")
    (tmp_path / "synthetic").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_config("synthetic").data.name == "synthetic"


def test_a_fault_of_our_own_shows(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text("import s2a_jax.config.values as v\ndef get_config():\n    v.to_json(None)\n")
    with pytest.raises(AttributeError):
        load_config(str(path))
