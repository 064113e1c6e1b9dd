"""The most expensive kernels of a training step, and the layers they belong to.

    python -m benchmarks.kernels --variant base --batch 16 --dtype bfloat16 [--trace DIR]

Traces ten updates with jax.profiler, and prints the share of the device's time of each kind of
layer and of the most expensive kernels. On a CPU the times are those of threads, which overlap.
--trace keeps the trace, which XProf and Perfetto (https://ui.perfetto.dev) open.
"""

import collections
import gzip
import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax

from benchmarks.command_line import parser, positive
from benchmarks.our_side import train_program
from s2a_jax.models.build import network_fields
from s2a_jax.signals import leave, run_program

_STEPS = 10


def main() -> None:
    """Trace, and print both tables."""
    flags = parser("benchmarks.kernels", __doc__)
    flags.add_argument("--network", default="s2anet", help="default s2anet")
    flags.add_argument("--variant", default="base", help="base (default), small or tiny")
    flags.add_argument("--size", type=positive, default=304, help="side in pixels; default 304")
    flags.add_argument("--batch", type=positive, default=16, help="batch size; default 16")
    flags.add_argument("--dtype", default="bfloat16", help="bfloat16 (default) or float32")
    flags.add_argument("--top", type=positive, default=10, help="kernels to print; default 10")
    flags.add_argument("--trace", type=Path, help="folder to keep the trace in")
    options = flags.parse_args()

    variant = {"name": options.network, "variant": options.variant, "dtype": options.dtype}
    fields = network_fields(variant, options.size)
    program = train_program(options.network, fields, (options.batch, options.size, options.size))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.trace or Path(temporary)
        program.call()
        with jax.profiler.trace(folder):
            for _ in range(_STEPS):
                program.call()
        events = list(kernel_events(folder))
    device = jax.devices()[0].device_kind
    total = sum(event["dur"] for event in events)
    print(
        f"{options.network} {options.variant}, batch {options.batch}, {options.dtype}, {device}: "
        f"{total / _STEPS / 1e3:.1f} ms of kernels a step"
    )
    by_layer: collections.Counter[str] = collections.Counter()
    by_kernel: collections.Counter[tuple[str, str]] = collections.Counter()
    calls: collections.Counter[tuple[str, str]] = collections.Counter()
    paths = op_names(program.compiled.as_text())
    for event in events:
        layer = layer_of(paths.get(event.get("args", {}).get("hlo_op", ""), ""))
        kernel = (re.sub(r"[._]\d+$", "", event["name"]), layer)
        by_layer[layer] += event["dur"]
        by_kernel[kernel] += event["dur"]
        calls[kernel] += 1
    print("\n share  ms a step  layer")
    for layer, spent in by_layer.most_common(3 * options.top):
        print(f"{spent / total:6.1%} {spent / _STEPS / 1e3:10.2f}  {layer}")
    print("\n share  ms a step  calls  kernel, layer")
    for kernel, spent in by_kernel.most_common(options.top):
        print(
            f"{spent / total:6.1%} {spent / _STEPS / 1e3:10.2f} {calls[kernel] / _STEPS:6.0f}  "
            f"{kernel[0][:60]}, {kernel[1]}"
        )


def kernel_events(folder: Path) -> Iterable[dict[str, Any]]:
    """The events of a trace that are kernels of a device or, on a CPU, operations of XLA."""
    (file,) = folder.rglob("*.trace.json.gz")
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    processes, threads = {}, {}
    for event in events:
        if event.get("name") == "process_name":
            processes[event["pid"]] = event["args"]["name"]
        elif event.get("name") == "thread_name":
            threads[event["pid"], event["tid"]] = event["args"]["name"]
    on_device = {pid for pid, name in processes.items() if name.startswith("/device:")}
    for event in events:
        if event.get("ph") != "X":
            continue
        if on_device:
            # Beside the streams of kernels a GPU's trace has lines that sum them up.
            thread = threads.get((event["pid"], event["tid"]), "")
            if event["pid"] in on_device and "Stream" in thread:
                yield event
        elif "hlo_op" in event.get("args", {}):
            yield event


def op_names(hlo: str) -> dict[str, str]:
    """Instruction -> the path of the code that it comes from, in a compiled program's text."""
    return dict(re.findall(r'%?([\w.-]+) = .*metadata=\{.*?op_name="([^"]*)"', hlo))


def layer_of(path: str) -> str:
    """Where an operation was written: the path of modules without numbers, and the direction."""
    if not path:
        return "other"
    parts = [part for part in re.split(r"[/()]", path) if re.fullmatch(r"[A-Za-z]\w*", part)]
    parts = [re.sub(r"\d+", "*", part) for part in parts if part not in _WRAPPERS]
    inside = "jvp(" in path or "transpose(" in path
    direction = ("backward" if "transpose(" in path else "forward") if inside else "update"
    return f"{direction} {'/'.join(parts[:4])}"


_WRAPPERS = ("jit", "jvp", "transpose", "train_step", "checkpoint", "remat", "rematted_computation")

if __name__ == "__main__":
    leave(run_program(main))
