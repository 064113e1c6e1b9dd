"""Images per second of the command `predict`, from files to files, and its memory.

    python -m benchmarks.predict --images 200 --size 304
    python -m benchmarks.predict --images 5000 --sizes 20 --size 48

Makes the images itself. Runs `predict` once on an image of each size, so that the programs are
compiled (or found), and then on all images. Prints wall and CPU time of an image, and the largest
resident memory in each quarter of the time, which stays the same unless memory leaks.
"""

import resource
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.command_line import parser, positive
from benchmarks.made_images import make_images
from benchmarks.memory import resident
from s2a_jax.cli import run_command
from s2a_jax.machine import cores, share_compiled_programs
from s2a_jax.signals import leave, run_program


def main() -> None:
    """Measure, and print the numbers."""
    flags = parser("benchmarks.predict", __doc__)
    flags.add_argument("--images", type=positive, default=200, help="number; default 200")
    flags.add_argument("--size", type=positive, default=304, help="smallest side; default 304 px")
    flags.add_argument("--sizes", type=positive, default=1, help="different sizes; default 1")
    flags.add_argument(
        "--weights", default="sim_to_real", help="as for predict; default sim_to_real, a `small`"
    )
    flags.add_argument("--batch-size", type=positive, help="as for predict")
    options = flags.parse_args()

    share_compiled_programs()
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        paths = make_images(images, options.images, options.size, options.sizes)
        command = ["predict", "--weights", options.weights, "--out", f"{folder}/out"]
        if options.batch_size:
            command.append(f"--batch-size={options.batch_size}")
        run_command([*command, *map(str, paths[: options.sizes])])
        shutil.rmtree(f"{folder}/out")
        memory: list[int] = []
        stop = threading.Event()
        watch = threading.Thread(target=_watch, args=(memory, stop))
        watch.start()
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            run_command([*command, str(images)])
        finally:
            stop.set()
            watch.join()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    n = options.images
    print(
        f"{cores()} cores; {n} images of {options.sizes} sizes from {options.size} px: "
        f"{n / wall:.2f} images/s, {1000 * wall / n:.1f} ms and {1000 * cpu / n:.1f} ms CPU an "
        "image, start and loading of the weights included"
    )
    quarters = [max(part) / 2**20 for part in np.array_split(memory, 4) if len(part)]
    print("memory by quarters, MiB: " + ", ".join(f"{q:.0f}" for q in quarters))
    print(f"peak, MiB: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def _watch(memory: list[int], stop: threading.Event) -> None:
    """Notes the resident memory, bytes, every tenth of a second."""
    while not stop.wait(0.1):
        memory.append(resident())


if __name__ == "__main__":
    leave(run_program(main))
