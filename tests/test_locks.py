"""The locks: one version with hashes of every package, within the ranges of the requirements."""

import re
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PIN = re.compile(
    r"([a-z0-9-]+)==([^ ]+)(?: ; (.+?))? \\\n"  # package, version, marker
    r"((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)"
)


def pins(name):
    """Package -> its (version, marker) for each kind of machine; each has hashes."""
    text = (ROOT / name).read_text()
    found = PIN.findall(text)
    assert len(found) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    versions = {}
    for package, version, marker, _ in found:
        versions.setdefault(package, set()).add((version, marker))
    return versions


def test_each_requirement_is_locked_within_its_range():
    locked = pins("requirements.lock")
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    for line in lines:
        if required := line.partition("#")[0].strip():
            wanted = Requirement(required)
            name = re.sub(r"[._]+", "-", wanted.name).lower()
            assert all(version in wanted.specifier for version, _ in locked[name]), line
            for python in ("3.11", "3.12", "3.13"):
                here = {"python_version": python, "python_full_version": f"{python}.9"}
                fits = [m for _, m in locked[name] if not m or Marker(m).evaluate(here)]
                assert len(fits) == 1, (line, python)


def test_the_tests_run_on_what_users_install():
    locked = pins("requirements-dev.lock")
    assert pins("requirements.lock").items() <= locked.items()
    # PyTorch has other files for other machines, and brings what only GPUs need.
    assert not [name for name in locked if re.match("torch|triton|nvidia|cuda", name)]
