"""Lists of planted bugs fit the code; a few are planted; what the program says of them."""

import csv

import pytest

from tests.mutants.__main__ import ROOT, main
from tests.mutants.lists import check_mutants, read_lists

LIST = """
["s2a_jax/objectives/balancing.py"]
tests = ["tests/objectives/test_joint.py::test_alpha"]
mutants = [
    ['0.8 * jnp.sin(progress', '0.8 * jnp.cos(progress'],
    ['the older form, slow at both ends', 'the older form'],
]
equivalent = [['loss_rv + loss_faz', 'loss_faz + loss_rv', 'a sum has no order']]
"""


def test_every_listed_bug_fits_the_code_and_names_tests():
    mutants = read_lists()
    assert mutants
    check_mutants(mutants, ROOT)


def test_the_program_plants_bugs_and_reports_them(tmp_path, capsys):
    (tmp_path / "made_up.toml").write_text(LIST)
    table = tmp_path / "found.csv"
    assert main(["--all", "--csv", str(table)], lists=tmp_path) == 1  # since one survives
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2].split()[:5] == ["all", "1", "1", "1", "3"]
    assert shown[-1] == "noticed or equivalent: 66.7%"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows] == ["noticed", "survived", "equivalent"]
    assert rows[0]["noticed_by"].startswith("tests/objectives/test_joint.py::test_alpha[dwb-")
    assert "0.8 * jnp.sin" in (ROOT / "s2a_jax/objectives/balancing.py").read_text()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("['no such text', 'other']", "occurs 0 times"),
        ("['progress', 'other']", "times"),
        ("['jnp.sin(progress', 'jnp.sin((progress']", "is no Python"),
        ("['0.8 * jnp', '0.7 * jnp', ['tests/none.py']]", "there is no test tests/none.py"),
        ("['0.8 * jnp', '0.7 * jnp', ['tests/objectives/test_joint.py::test_no']]", "no test"),
        ("['0.8 * jnp', '0.7 * jnp', []]", "names no tests"),
    ],
)
def test_a_list_that_does_not_fit_is_an_error(line, named, tmp_path, capsys):
    start = LIST[: LIST.index("    ['0.8")]
    (tmp_path / "made_up.toml").write_text(f"{start}    {line}\n]\n")
    assert main([], lists=tmp_path) == 1
    assert named in capsys.readouterr().err
