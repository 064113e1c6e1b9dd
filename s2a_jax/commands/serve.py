"""`serve`: a web page that analyses images, on this machine."""

import argparse
import socket
import time

from s2a_jax.analysis.model import S2ANet
from s2a_jax.commands.flags import path_flag
from s2a_jax.errors import UserError
from s2a_jax.signals import Interrupt
from s2a_jax.web.app import served

_HOST = "127.0.0.1"
_PORTS = (1, 65535)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the command."""
    parser.description = (
        "Serves a page that analyses images: drop them, see vessels, FAZ and uncertainty, download "
        "masks and numbers (docs/web.md). Needs the extra [web]. Nothing is kept, nothing leaves "
        "this machine. Ctrl-C stops it. Not a medical device."
    )
    parser.add_argument(
        "--weights",
        type=path_flag,
        default="sim_to_real",
        help="network to use; default %(default)s, which comes with the package",
    )
    parser.add_argument(
        "--host",
        default=_HOST,
        help="address to listen at; default %(default)s, which only this machine reaches; 0.0.0.0: "
        "every machine that reaches this one, without a password",
    )
    parser.add_argument("--port", type=int, help="port; default: the first free one from 7860 on")


def run(options: argparse.Namespace) -> int:
    """Serves until a signal comes.

    Raises:
        UserError: a flag or weights that cannot be used, or Gradio is not installed.
    """
    low, high = _PORTS
    if options.port is not None and not low <= options.port <= high:
        raise UserError(f"--port={options.port}: expected {low} to {high}.")
    _check_address(options.host, options.port)
    model = S2ANet.load_from_checkpoint(options.weights)
    if model.slabs:
        raise UserError(
            f"--weights={options.weights} takes the slabs {', '.join(model.slabs)} of each eye, "
            "but the page takes one image of each; use predict."
        )
    with Interrupt() as stop, served(model, host=options.host, port=options.port) as address:
        print(f"Serving at {address} (Ctrl-C stops it).", flush=True)
        if options.host != _HOST:
            print(f"Listening at {options.host}: who reaches it can use it, without a password.")
        while stop.signal is None:
            time.sleep(0.2)
    print("Stopped; nothing is kept.")
    return 128 + stop.signal


def _check_address(host: str, port: int | None) -> None:
    """Raises a UserError unless this process may listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        flags = f"--host={host}" + (f" --port={port}" if port else "")
        raise UserError(
            f"{flags}: cannot listen there ({error}); give an address of this machine and a free "
            "port."
        ) from error
