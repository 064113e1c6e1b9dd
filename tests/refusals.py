"""Check how a command refuses input that it cannot use."""


def assert_refused(code, output, named):
    """Assert exit code 2 and one sentence that names the file, field or flag."""
    assert code == 2, output
    assert named in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) == 1, output
