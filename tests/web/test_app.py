"""The page's server through its HTTP interface, with a network whose answer is known."""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import numpy as np
import pytest

from s2a_jax import cli
from s2a_jax.analysis.pictures import png_bytes
from tests.web.client import ask, files_of, get, send
from tests.web.fakes import KnownNetwork, eye_pixels
from tests.web.test_web_results import Page


def area_of(answer):
    header, values = Page(answer).download("eyes.csv").decode().splitlines()
    return float(values.split(",")[header.split(",").index("faz_area_mm2")])


def test_two_users_at_once_get_their_own_answers(server):
    sides = (12, 36)
    both = threading.Barrier(len(sides))

    def user(side):
        both.wait(timeout=60)
        answers = []
        for number in range(3):
            sent = send(server, f"{side}{number}-eye.png", png_bytes(eye_pixels(side)))
            answers.append(ask(server, "analyze", [sent], "3 mm", "OD", False))
        return [area_of(answer) for answer in answers]

    with ThreadPoolExecutor(len(sides)) as pool:
        answers = list(pool.map(user, sides))
    for side, areas in zip(sides, answers, strict=True):
        assert areas == pytest.approx([(side * 3 / 96) ** 2] * 3, rel=1e-5)
    assert files_of(server) == []


def test_a_bad_file_and_no_file_are_sentences(server):
    bad = send(server, "1-no <b>tes.txt", b"no image")
    text = Page(ask(server, "analyze", [bad], "3 mm", "OD", False)).text
    assert "no <b>tes.txt is not an image" in text and str(server.folder) not in text
    assert files_of(server) == []
    assert "no image yet" in ask(server, "analyze", [], "3 mm", "OD", False)
    refused = {"error": "x.png has more than 50 MB."}  # by the page itself
    assert refused["error"] in ask(server, "analyze", refused, "3 mm", "OD", False)


def test_a_refused_request_leaves_no_file(server):
    sent = send(server, "1-eye.png", png_bytes(eye_pixels(12)))
    answer = ask(server, "analyze", [sent], "300", "OD", False)
    assert "expected 1 to 30 mm" in answer
    assert files_of(server) == []


def test_an_example_needs_no_file(server):
    page = Page(ask(server, "example_1", False))
    assert "Synthetic eye, 3 mm" in page.text
    assert page.download("masks.zip").startswith(b"PK")


def test_files_of_the_machine_are_not_served(server, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png_bytes(np.zeros((96, 96), np.uint8)))
    with pytest.raises(HTTPError, match="403") as refused:
        get(f"{server.address}gradio_api/file={secret}")
    refused.value.close()
    sent = {"path": str(secret), "orig_name": "a.png"}
    assert "did not arrive" in ask(server, "analyze", [sent], "3 mm", "OD", False)
    assert secret.exists()


def test_files_over_the_limit_are_refused_while_they_arrive(server):
    with pytest.raises(HTTPError, match="413") as refused:
        send(server, "1-large.png", bytes(50 * 10**6 + 1))
    refused.value.close()
    assert files_of(server) == []


def test_a_slow_upload_keeps_nobody_waiting_and_leaves_nothing(server):
    host, port = server.address.removeprefix("http://").rstrip("/").split(":")
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        'Content-Disposition: form-data; name="files"; filename="eye.png"\r\n\r\n'
    )
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(head.encode() + bytes(1000))
        assert "Synthetic eye, 3 mm" in Page(ask(server, "example_1", False)).text
        (broken,) = files_of(server)
        assert broken.exists()  # it may go on
    deadline = time.monotonic() + 30
    while broken.exists() and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            os.utime(broken, (0, 0))  # again, since the server may write what had arrived
        time.sleep(0.05)
    assert files_of(server) == []


def test_the_page_records_nothing_and_loads_nothing_from_elsewhere(server):
    config = json.loads(get(f"{server.address}config"))
    assert config["analytics_enabled"] is False and config["run_history"] is False
    style = get(f"{server.address}theme.css")
    assert "url(http" not in style and "@import" not in style


def test_the_page_has_its_own_name_and_no_preview_of_gradio(server):
    page = get(server.address)
    assert page.count("<title>S2A-Net: vessels and FAZ in OCTA</title>") == 1
    assert "og:" not in page and "twitter:" not in page and "githubusercontent" not in page
    assert "window.gradio_config = {" in page and '<meta charset="utf-8"' in page


def test_a_port_that_is_taken_and_a_foreign_host_are_one_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.run(["serve", "--port", str(port)]) == 2
    assert f"error: --host=127.0.0.1 --port={port}: cannot listen" in capsys.readouterr().err
    assert cli.run(["serve", "--host", "192.0.2.1"]) == 2  # no machine has this address
    assert "error: --host=192.0.2.1: cannot listen" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "serve needs gradio: pip install -e '.[web]'"),
        (["--port", "0"], "--port=0: expected 1 to 65535"),
        (["--weights", "nothing"], "No weights at nothing"),
    ],
)
def test_mistakes_are_one_sentence(monkeypatch, capsys, flags, sentence):
    monkeypatch.setitem(sys.modules, "gradio", None)
    if not flags:
        monkeypatch.setattr(
            "s2a_jax.commands.serve.S2ANet.load_from_checkpoint", lambda path: KnownNetwork()
        )
    assert cli.run(["serve", *flags]) == 2
    assert capsys.readouterr().err.startswith(f"error: {sentence}")
