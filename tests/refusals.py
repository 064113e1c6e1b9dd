"""How a command refuses what it cannot use."""


def assert_refused(code, output, named):
    """One sentence that names the file, field or flag, and exit code 2."""
    assert code == 2, output
    assert named in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) == 1, output
