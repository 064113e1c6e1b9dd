"""Operations of the convolutions and matrix products in a function."""

import math
from collections.abc import Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.interpreters.partial_eval import dce_jaxpr


def count_operations(traced: Any) -> float:
    """Floating-point operations of one call, as written, on the default platform.

    XLA's own count takes a loop's body once. This one leaves out what is neither a product nor a
    convolution, a few percent of a network.

    Args:
        traced: `jitted.trace(*arguments)`.
    """
    program = traced.jaxpr.jaxpr
    needed, _ = dce_jaxpr(program, [True] * len(program.outvars))
    return _count(needed, jax.default_backend())


def _count(program: Jaxpr, platform: str) -> float:
    return sum(_count_equation(equation, platform) for equation in program.eqns)


def _count_equation(equation: Any, platform: str) -> float:
    parameters = equation.params
    match equation.primitive.name:
        case "dot_general":
            (summed, _), _ = parameters["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            return 2 * equation.outvars[0].aval.size * math.prod(shape[i] for i in summed)
        case "conv_general_dilated":
            _, *others = parameters["dimension_numbers"].rhs_spec  # the first: output channels
            shape = equation.invars[1].aval.shape
            taps = math.prod(shape[i] for i in others)
            # Pixels that dilation puts between those of the map are 0 and cost nothing.
            return 2 * equation.outvars[0].aval.size * taps / math.prod(parameters["lhs_dilation"])
        case "scan":
            return parameters["length"] * _count(parameters["jaxpr"].jaxpr, platform)
        case "cond":
            branches, of_platforms = parameters["branches"], parameters["branches_platforms"]
            if of_platforms is None:
                return max(_count(branch.jaxpr, platform) for branch in branches)
            chosen = (names is None or platform in names for names in of_platforms)
            return _count(branches[list(chosen).index(True)].jaxpr, platform)
    return sum(_count(inner, platform) for inner in _inner(parameters.values()))


def _inner(values: Any) -> Iterator[Jaxpr]:
    """The programs among an equation's parameters."""
    for value in values:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _inner(value)
