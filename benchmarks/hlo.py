"""Collectives and matrix products in the text of a program that XLA has compiled (HLO)."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")

_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\(([^)]*)\)(.*)")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.-]+) \(.*\{$")
_CALLED = re.compile(
    r"(calls|to_apply|body|condition|branch_computations|called_computations)="
    r"(?:\{([^}]*)\}|%?([\w.-]+))"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_ARRAY = re.compile(r"(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")


class Collective(NamedTuple):
    """Instructions that move the same kind of data between chips.

    Attributes:
        kind: one of `COLLECTIVES`.
        bytes: of the whole array, as it is before a reduce-scatter or after an all-gather.
        times: how often a call of the program executes it.
    """

    kind: str
    bytes: int
    times: int


class Product(NamedTuple):
    """A convolution or product of matrices, on one chip.

    Attributes:
        path: where it was written: transformations and modules, separated by slashes.
        channels: (contracted channels, output channels).
        useful: floating-point operations without those on padding and the zeros of dilation.
        padded: operations of a matrix unit that works on whole tiles.
        times: how often a call of the program executes it.
    """

    path: str
    channels: tuple[int, int]
    useful: int
    padded: int
    times: int


class _Instruction(NamedTuple):
    name: str
    type: str
    op: str
    operands: list[str]
    rest: str
    computation: str


def collectives(hlo: str) -> list[Collective]:
    """All collectives of a compiled program."""
    found, arrays, times = [], {}, _times(hlo)
    for one in _instructions(hlo):
        arrays[one.name] = one.type
        kind = one.op.removesuffix("-start")
        if kind not in COLLECTIVES:
            continue
        taken = sum(_bytes(arrays.get(name, "")) for name in one.operands)
        given = _bytes(one.type)
        if one.op.endswith("-start") and given > taken:  # its type has the operands as well
            given -= taken
        found.append(Collective(kind, max(taken, given), times[one.computation]))
    return found


def products(hlo: str, side: int) -> list[Product]:
    """All convolutions and products of matrices of a compiled program.

    A convolution is one product [M, K] x [K, N] for each tap of its kernel: M counts output pixels,
    K input channels, N output channels. A weight gradient, whose window is larger than its output,
    is one for each of its taps: M input channels, K pixels, N output channels. The matrix unit
    works on tiles, so M, K and N are padded to multiples of `side`.

    Args:
        hlo: the program's text.
        side: of the matrix unit, 128 for TPU v5e.
    """
    found, shapes, times = [], {}, _times(hlo)
    for one in _instructions(hlo):
        shape = _ARRAY.search(one.type)
        shapes[one.name] = _sizes(shape[3]) if shape else []
        if one.op not in ("convolution", "dot"):
            continue
        left, right, out = (shapes[name] for name in (*one.operands, one.name))
        read = _convolution if one.op == "convolution" else _dot
        work = read(left, right, out, one.rest)
        padded = 2 * work.count * math.prod(-(-extent // side) * side for extent in work.extents)
        path = re.search(r'op_name="([^"]*)"', one.rest)
        name = path[1] if path else one.name
        found.append(Product(name, work.channels, work.useful, padded, times[one.computation]))
    return found


class _Work(NamedTuple):
    """`count` products of matrices [M, K] x [K, N]; `extents` are M, K, N."""

    useful: int
    count: int
    extents: tuple[int, int, int]
    channels: tuple[int, int]


def _convolution(left: list[int], right: list[int], out: list[int], rest: str) -> _Work:
    left_dims, right_dims, out_dims = _labels(rest)
    window = re.search(r"window=\{([^}]*)\}", rest)
    options = dict(item.split("=") for item in window[1].split()) if window else {}
    groups = math.prod(
        int(number) for number in re.findall(r"(?:feature|batch)_group_count=(\d+)", rest)
    )
    rows, contracted = out[out_dims.index("b")], right[right_dims.index("i")]
    count, m, k, n = groups, rows, contracted, out[out_dims.index("f")] // groups
    useful, is_gradient = 2 * groups * m * k * n, False
    for axis in range(len(left) - 2):
        size, stride, dilation, step = (
            int(options[name].split("x")[axis]) if name in options else 1
            for name in ("size", "stride", "lhs_dilate", "rhs_dilate")
        )
        low = int(options["pad"].split("x")[axis].split("_")[0]) if "pad" in options else 0
        extent, outputs = left[left_dims.index(str(axis))], out[out_dims.index(str(axis))]
        useful *= _pairs(extent, outputs, size, stride, dilation, step, low)
        if size == extent == outputs == dilation and stride == max(1, size - 1):
            count *= size  # not a window but a batch of products, as XLA writes it for TPUs
        elif size <= outputs:
            count, m = count * size, m * outputs
        else:
            count, k, is_gradient = count * outputs, k * size, True
    return _Work(useful, count, (m, k, n), (rows if is_gradient else contracted, n))


def _pairs(
    extent: int, outputs: int, size: int, stride: int, dilation: int, step: int, low: int
) -> int:
    """Pairs of an output and a tap along one axis that meet a pixel, not padding or dilation."""
    last = (extent - 1) * dilation
    positions = (o * stride + tap * step - low for o in range(outputs) for tap in range(size))
    return sum(0 <= at <= last and at % dilation == 0 for at in positions)


def _dot(left: list[int], right: list[int], out: list[int], rest: str) -> _Work:
    def dims(name: str) -> list[int]:
        found = re.search(rf"{name}=\{{([\d,]*)\}}", rest)
        return _sizes(found[1]) if found else []

    count = math.prod(left[axis] for axis in dims("lhs_batch_dims"))
    k = math.prod(left[axis] for axis in dims("lhs_contracting_dims"))
    n = math.prod(right) // (count * k)
    useful = 2 * math.prod(out) * k
    return _Work(useful, count, (math.prod(left) // (count * k), k, n), (k, n))


def _labels(rest: str) -> tuple[str, str, str]:
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", rest)
    return labels[1], labels[2], labels[3]


def _instructions(hlo: str) -> Iterator[_Instruction]:
    computation = ""
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            computation = header[2]
        elif found := _INSTRUCTION.match(line):
            name, kind, op, operands, rest = found.groups()
            names = re.findall(r"([\w.-]+)(?:, |$)", operands)  # with or without their types
            yield _Instruction(name, kind, op, names, rest, computation)


def _times(hlo: str) -> dict[str, int]:
    """Computation -> how often a call of the program executes it.

    Raises:
        ValueError: a loop does not state its number of trips.
    """
    callers: dict[str, list[tuple[str, int]]] = {}
    times: dict[str, int] = {}
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            callers.setdefault(header[2], [])
            if header[1]:
                times[header[2]] = 1
    for one in _instructions(hlo):
        trips = 1
        if one.op == "while":
            known = _TRIPS.search(one.rest)
            if known is None:
                raise ValueError(f"the loop {one.name} does not state its number of trips")
            trips = int(known[1])
        for kind, several, single in _CALLED.findall(one.rest):
            for name in (several or single).split(","):
                of = callers.get(name.strip().lstrip("%"))
                if of is not None:
                    of.append((one.computation, trips if kind == "body" else 1))

    def count(computation: str) -> int:
        if computation not in times:
            times[computation] = sum(
                count(caller) * trips for caller, trips in callers[computation]
            )
        return times[computation]

    return {computation: count(computation) for computation in callers}


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",") if size]


def _bytes(text: str) -> int:
    """Bytes of an array's or a tuple's type."""
    return sum(
        math.prod(_sizes(sizes)) * (8 if kind == "pred" else int(bits)) // 8
        for kind, bits, sizes in _ARRAY.findall(text)
    )
