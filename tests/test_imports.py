"""The layers of the package: imports run one way."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "s2a_jax"
ALLOWED = {
    "models": {"errors"},
    "objectives": set(),
    "data": {"errors", "cores"},
    "evaluation": {"errors", "cores", "analysis"},
    "convert": {"errors", "models"},
    "training": {"errors", "models", "objectives", "data", "evaluation", "analysis", "convert"},
    "inference": {"errors", "models", "data", "training", "convert"},
    "analysis": {"errors", "cores"},
    "comparison": {"errors", "starting", "data", "evaluation", "analysis", "training"},
    "commands": {
        "errors",
        "starting",
        "data",
        "evaluation",
        "analysis",
        "convert",
        "training",
        "inference",
        "comparison",
    },
}
"""Folder -> what it may import of the package, besides itself."""


def imports(path):
    """Names of all modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("folder", sorted(p.name for p in PACKAGE.iterdir() if p.is_dir()
                                          and p.name != "__pycache__"))  # fmt: skip
def test_imports_run_one_way(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "s2a_jax":
                assert parts[1] in ALLOWED[folder] | {folder}, f"{path} imports {name}"
            assert not (folder == "data" and parts[0] in ("jax", "flax")), f"{path} imports {name}"


def test_pytorch_stays_at_the_edge():
    for path in PACKAGE.rglob("*.py"):
        roots = {name.partition(".")[0] for name in imports(path)}
        assert "parity" not in roots, path
        assert "torch" not in roots or path == PACKAGE / "convert/files.py", path


def test_files_are_short():
    for folder in (PACKAGE, PACKAGE.parent / "parity"):
        for path in folder.rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 300, path
