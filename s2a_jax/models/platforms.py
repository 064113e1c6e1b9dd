"""One function in the form that each platform computes fastest.

This is the only way in which networks depend on the platform. The form is chosen when a function is
lowered, so an exported network holds all of them.
"""

from collections.abc import Callable

import jax
from jax import Array, lax

_Form = Callable[..., Array]


def by_platform(default: _Form, **others: _Form) -> _Form:
    """One function of arrays in the form for the platform: `default`, or that of its name.

    The form is chosen anew in the backward pass. Otherwise all forms would have to store the same
    arrays for it.
    """

    @jax.custom_vjp
    def function(*arrays: Array) -> Array:
        return lax.platform_dependent(*arrays, default=default, **others)

    def forward(*arrays: Array) -> tuple[Array, tuple[Array, ...]]:
        return function(*arrays), arrays

    def backward(arrays: tuple[Array, ...], gradient: Array) -> tuple[Array, ...]:
        def transposed(form: _Form) -> Callable[..., tuple[Array, ...]]:
            return lambda gradient, *arrays: jax.vjp(form, *arrays)[1](gradient)

        return lax.platform_dependent(
            gradient,
            *arrays,
            default=transposed(default),
            **{name: transposed(form) for name, form in others.items()},
        )

    function.defvjp(forward, backward)
    return function
