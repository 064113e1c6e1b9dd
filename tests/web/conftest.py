"""The page in a process of its own, since Gradio leaves sockets and event loops behind."""

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.client import Server, files_of, send

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def server(tmp_path_factory, run_environment):
    """A server; in the end SIGTERM stops it, and nothing may be left of an upload."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("Gradio is not installed: pip install -e '.[web]'")
    folder = tmp_path_factory.mktemp("served")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.web.known_server"],
        cwd=ROOT,
        env=run_environment | {"TMPDIR": str(folder), "HTTP_PROXY": "http://127.0.0.1:9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("Serving at http://127.0.0.1:"), line + process.stdout.read()
        running = Server(line.split()[2], folder)
        yield running
        send(running, "1-eye.png", b"never asked about")
        assert len(files_of(running)) == 1
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    # No line names a file; no two calls of the network overlapped.
    assert output.splitlines() == ["Stopped; nothing is kept.", "0 calls overlapped"]
    assert process.returncode == 128 + signal.SIGTERM
    assert list(folder.iterdir()) == []
