"""Configuration files that cannot be used, of `train` and `compare`."""

import pytest

LOADED = "from s2a_jax.config.load import load_config\n"
CHANGED = LOADED + "def get_config():\n    config = load_config('default')\n"
ANY = CHANGED + "    config.unlock()\n"

CONFIGS = {
    "empty.py": ("", "has no function get_config"),
    "syntax.py": ("def get_config(\n", "line 1: '(' was never closed"),
    "indent.py": ("def get_config():\nreturn 1\n", "line 2: expected an indented block"),
    "nul.py": ("\0", "nul.py"),
    "latin.py": ("# \xe9\n".encode("latin-1"), "latin.py"),
    "utf16.py": ("x = 1\n".encode("utf-16"), "utf16.py"),
    "missing.py": ("x = 1\n", "has no function get_config"),
    "number.py": ("get_config = 5\n", "has no function get_config"),
    "class.py": ("class get_config: pass\n", "returns get_config; expected a ConfigDict"),
    "built-in.py": ("get_config = min\n", "TypeError"),
    "type.py": ("get_config = dict\n", "returns dict; expected a ConfigDict"),
    "partial.py": (
        "import functools\nget_config = functools.partial(int)\n",
        "returns int; expected a ConfigDict",
    ),
    "none.py": ("def get_config():\n    pass\n", "returns NoneType"),
    "dict.py": ("def get_config():\n    return {}\n", "returns dict"),
    "text.py": ("def get_config():\n    return 'x'\n", "returns str"),
    "generator.py": ("def get_config():\n    yield 1\n", "returns generator"),
    "async.py": ("async def get_config():\n    return 1\n", "returns coroutine"),
    "frozen.py": (
        LOADED + "from ml_collections import FrozenConfigDict\n"
        "def get_config():\n    return FrozenConfigDict(load_config('default'))\n",
        "returns FrozenConfigDict",
    ),
    "two.py": ("def get_config(a, b):\n    return a\n", "TypeError"),
    "keyword.py": ("def get_config(*, a):\n    return a\n", "TypeError"),
    "raises.py": ("def get_config():\n    return [1][3]\n", "line 2: IndexError"),
    "assertion.py": ("def get_config():\n    assert False\n", "line 2: AssertionError"),
    "exit.py": ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
    "exit-later.py": ("def get_config():\n    raise SystemExit\n", "line 2: SystemExit"),
    "recursion.py": ("def get_config():\n    return get_config()\n", "RecursionError"),
    "import.py": ("import no_such_package\n", "line 1: ModuleNotFoundError"),
    "import-ours.py": ("import s2a_jax.no_such_file\n", "line 1: ModuleNotFoundError"),
    "division.py": ("x = 1 / 0\n", "line 1: ZeroDivisionError"),
    "warns.py": ("import warnings\nwarnings.warn('x')\n", "has no function get_config"),
    "field.py": (CHANGED + "    config.train.epoch = 3\n", "did you mean config.train.epochs?"),
    "section.py": (CHANGED + "    config.tran.epochs = 3\n", "section.py, line 4"),
    "kind.py": (CHANGED + "    config.seed = 'a'\n", "kind.py, line 4: TypeError"),
    "tuple.py": (CHANGED + "    config.data.size = (1, 2)\n", "tuple.py, line 4: TypeError"),
    "few.py": (
        "from ml_collections import ConfigDict\n"
        "def get_config():\n    return ConfigDict({'seed': 1})\n",
        "the configuration lacks config",
    ),
    "itself.py": (ANY + "    config.more = config\n    return config\n", "holds itself"),
    "required.py": (
        ANY + "    from ml_collections.config_dict import required_placeholder\n"
        "    config.more = required_placeholder(int)\n    return config\n",
        "required_placeholder",
    ),
    "replaced.py": (ANY + "    config.train = 5\n    return config\n", "replaced.py"),
    "other.py": (LOADED + "def get_config():\n    return load_config('another')\n", "no file a"),
}
"""File name -> content, and a part of the sentence."""


@pytest.mark.parametrize("name", CONFIGS)
def test_files(tmp_path, refused, name):
    content, named = CONFIGS[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(["train", "--config", name, "--workdir", "run"], name.removesuffix(".py"), named)
    refused(["compare", "--config", name, "--workdir", "runs"], named)


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("", "--config="),
        (".", "--config=."),
        ("nothing", "there is no file nothing"),
        ("nothing.py", "there is no file nothing.py"),
        ("folder.py", "there is no file folder.py"),
        ("text.txt", "expected a Python file"),
        ("synthetic:fast", "expected FILE or FILE:smoke"),
        (":smoke", "--config=:smoke"),
        ("mode.py:many", "line 4: ValueError"),
        ("mode.py", "TypeError"),
        ("a" * 5000, "there is no file aaa"),
        ("a/" * 2500 + "b.py", "there is no file a/a"),
        ("gs://bucket/mine.py", "expected a file or folder, not an address"),
    ],
)
def test_arguments(tmp_path, refused, argument, named):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "text.txt").write_text("x")
    content = CHANGED.replace("get_config()", "get_config(epochs)")
    (tmp_path / "mode.py").write_text(content + "    int(epochs)\n    return config\n")
    for command in ("train", "compare"):
        refused([command, "--config", argument, "--workdir", "run"], named)
