"""The layers of the repository: imports run one way, and nothing but the package is installed."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "s2a_jax"
BASE = {"errors", "files", "machine", "console", "extras"}
ALLOWED = {
    "models": {"errors"},
    "objectives": set(),
    "statistics": set(),
    "biomarkers": BASE,
    "inputs": BASE,
    "quality": BASE | {"inputs", "biomarkers"},
    "config": BASE,
    "data": BASE | {"inputs"},
    "convert": BASE | {"models"},
    "runs": BASE | {"config"},
    "evaluation": BASE | {"inputs", "statistics", "biomarkers"},
    "report": BASE | {"config", "data", "runs", "evaluation"},
    "training": BASE | {"processes", "signals", "config", "models", "objectives", "inputs", "data",
                        "convert", "evaluation", "runs"},
    "inference": BASE | {"models", "inputs", "convert", "training"},
    "export": BASE | {"models", "convert", "training", "inference"},
    "analysis": BASE | {"inputs", "biomarkers", "evaluation", "quality", "inference", "report"},
    "web": BASE | {"inputs", "data", "biomarkers", "evaluation", "quality", "report", "analysis"},
    "comparison": BASE | {"signals", "config", "data", "statistics", "evaluation", "runs",
                          "training"},
}  # fmt: skip
"""Folder -> what it may import of the package, besides itself; `commands` may import everything."""
FILES = {"errors": set(), "files": {"errors"}, "extras": {"errors"}, "machine": set(),
         "processes": {"errors"}, "console": set(),
         "signals": {"errors", "files"}}  # fmt: skip
"""File beside the folders -> what it may import of the package."""
OUTSIDE = {
    "configs": {"config", "models"},
    "benchmarks": None,
    "parity": None,
}
"""Folder beside the package -> what of the package it may import; None: everything."""
BESIDE = {"configs": set(), "benchmarks": {"parity"}, "parity": set()}
"""Folder beside the package -> its neighbours that it may import."""


def imports(path):
    """Names of all modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if not node.level)


def test_the_files_below_all_folders_import_no_folder():
    for name, allowed in FILES.items():
        for imported in imports(PACKAGE / f"{name}.py"):
            root, *rest = imported.split(".")
            assert root != "s2a_jax" or rest[0] in allowed, f"{name} imports {imported}"


def _folders():
    return sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))


@pytest.mark.parametrize("folder", _folders())
def test_imports_run_one_way(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        assert "from ." not in path.read_text(), f"{path} imports relatively"
        for name in imports(path):
            root, *rest = name.split(".")
            if root == "s2a_jax":
                allowed = ALLOWED.get(folder, {rest[0]}) | {folder}
                assert rest[0] in allowed, f"{path} imports {name}"
                assert rest[0] != "cli", f"{path} imports {name}"
            assert root not in OUTSIDE, f"{path} imports {name}"


def test_the_layers_have_no_cycle():
    done = set()
    while len(done) < len(ALLOWED):
        ready = {name for name, below in ALLOWED.items() if below & ALLOWED.keys() <= done} - done
        assert ready, f"a cycle among {sorted(ALLOWED.keys() - done)}"
        done |= ready


_NO_JAX = ["data", "inputs", "statistics", "biomarkers", "quality", "runs", "config"]


@pytest.mark.parametrize("folder", _NO_JAX)
def test_what_needs_no_jax_imports_none(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        roots = {name.partition(".")[0] for name in imports(path)}
        has_reason = path == PACKAGE / "runs/environment.py"  # which describes the devices
        assert has_reason or not roots & {"jax", "flax", "optax"}, path


@pytest.mark.parametrize("folder", sorted(OUTSIDE))
def test_what_lies_beside_the_package_knows_its_place(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for name in imports(path):
            root, *rest = name.split(".")
            if root == "s2a_jax" and OUTSIDE[folder] is not None:
                assert rest[0] in OUTSIDE[folder], f"{path} imports {name}"
            if root in OUTSIDE:
                assert root in BESIDE[folder] | {folder}, f"{path} imports {name}"


def test_pytorch_stays_at_the_edge():
    for path in PACKAGE.rglob("*.py"):
        roots = {name.partition(".")[0] for name in imports(path)}
        assert "torch" not in roots or path == PACKAGE / "convert/torch_files.py", path


def test_files_are_short():
    for folder in (PACKAGE, ROOT / "parity", ROOT / "configs", ROOT / "benchmarks"):
        for path in folder.rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path
