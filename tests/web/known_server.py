"""`serve` with a network whose answer is known; prints how many of its calls overlapped."""

import sys
import time

from s2a_jax import cli, signals
from s2a_jax.commands import serve
from s2a_jax.web import app
from tests.web.fakes import KnownNetwork

if __name__ == "__main__":
    network = KnownNetwork(wait=lambda: time.sleep(0.1))
    app._SWEEP_S = 0.1  # looks for uploads that nobody reads ten times a second
    serve.S2ANet.load_from_checkpoint = lambda path: network
    signals.end_at_once()
    code = cli.run(["serve", *sys.argv[1:]])
    print(f"{network.overlaps} calls overlapped", flush=True)
    signals.leave(code)
