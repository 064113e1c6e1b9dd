"""How the program that runs the suite on other versions counts and tabulates."""

from tests.versions import read_counts, write_table


def test_errors_are_failures_and_skipped_tests_did_not_pass(tmp_path):
    one = (
        '<testsuite tests="9" failures="1" errors="2" skipped="3"><testcase name="a"/></testsuite>'
    )
    (tmp_path / "suite.xml").write_text(f"<testsuites>{one}{one}</testsuites>")
    assert read_counts(tmp_path / "suite.xml") == {"passed": 6, "failed": 6, "skipped": 6}


def test_the_table_has_a_row_for_each_environment(tmp_path):
    write_table(tmp_path, [{"environment": "a", "jax": "0.7.2"}, {"environment": "b", "jax": "1"}])
    assert (tmp_path / "versions.csv").read_text().split() == ["environment,jax", "a,0.7.2", "b,1"]
    assert (tmp_path / "versions.md").read_text() == (
        "| environment | jax |\n|---|---|\n| a | 0.7.2 |\n| b | 1 |\n"
    )
