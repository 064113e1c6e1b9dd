"""Calls of the page's server over HTTP, as the page makes them."""

import json
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

BORDER = "a1b2c3"
_TIMEOUT = 60  # s


class Server(NamedTuple):
    address: str
    folder: Path  # of its temporary files


def get(address):
    with urlopen(address, timeout=_TIMEOUT) as answer:
        return answer.read().decode()


def send(server, name, content):
    """Uploads a file as the page does; returns how a request names it."""
    head = f'--{BORDER}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    request = Request(
        f"{server.address}gradio_api/upload",
        data=head.encode() + content + f"\r\n--{BORDER}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={BORDER}"},
    )
    with urlopen(request, timeout=_TIMEOUT) as answer:
        (path,) = json.load(answer)
    return {"path": path, "orig_name": name.partition("-")[2]}


def ask(server, endpoint, *data):
    """Calls a function of the page and waits for its answer, an HTML fragment."""
    request = Request(
        f"{server.address}gradio_api/call/{endpoint}",
        data=json.dumps({"data": data}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=_TIMEOUT) as answer:
        event = json.load(answer)["event_id"]
    events = get(f"{server.address}gradio_api/call/{endpoint}/{event}")
    assert "event: complete" in events, events
    return json.loads(events.rpartition("data: ")[2])[0]


def files_of(server):
    return [path for path in server.folder.rglob("*") if path.is_file()]
