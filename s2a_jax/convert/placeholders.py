"""Inert objects that stand for the classes and functions that a pickled file names.

PyTorch's restricted loader (`weights_only=True`) builds tensors and plain containers, and refuses
every other class or function that a file names. Training scripts save such objects beside the
weights all the time: arguments, paths, NumPy scalars, configurations, whole modules. With a
placeholder for each name nothing is ever imported or called for a file, neither constructors nor
`__setstate__`. This is safer than allowing the classes themselves: even NumPy's
`dtype.__setstate__` takes any memory layout that a file claims.
"""

import re
from collections import OrderedDict
from typing import Any

import numpy as np


def placeholder_for(name: str) -> type:
    """The placeholder for a class or function with the full name `name`."""
    if name == "numpy.dtype":
        return _DType
    if re.fullmatch(r"numpy\._?core\.multiarray\._reconstruct", name):
        return _Array
    return _Opaque if name.startswith(("numpy.", "functools.partial")) else _Fields


class _Fields:
    """Stands for most objects: gives an empty OrderedDict.

    PyTorch's loader puts items and attributes only into such plain containers. The attributes of a
    pickled module are therefore in `vars` of the result, where `selection` looks for them.
    """

    def __new__(cls, *arguments: Any) -> Any:
        """Ignores all arguments."""
        return OrderedDict()


class _Opaque:
    """Stands for objects whose state is no mapping; keeps nothing."""

    def __init__(self, *arguments: Any) -> None:
        """Ignores all arguments."""

    def __setstate__(self, state: Any) -> None:
        """Ignores the state."""


class _DType(_Opaque):
    """Stands for a NumPy type; `plain` is the type if it is a plain number, otherwise None."""

    def __init__(self, code: str, *arguments: Any) -> None:
        is_plain = re.fullmatch("f[248]|[iu][1248]|b1", code)
        self.plain = np.dtype(code) if is_plain else None

    def __setstate__(self, state: Any) -> None:
        """Takes the byte order from NumPy's (version, byte order, ...)."""
        if self.plain is not None and state[1] in ("<", ">"):
            self.plain = self.plain.newbyteorder(state[1])


class _Array(_Opaque):
    """Stands for a NumPy array; has `shape`, `dtype` and values if it holds plain numbers."""

    def __setstate__(self, state: Any) -> None:
        """Takes NumPy's (version, shape, dtype, whether in Fortran's order, bytes)."""
        _, shape, dtype, is_fortran, content = state
        if dtype.plain is not None:
            order = "F" if is_fortran else "C"
            self._values = np.frombuffer(content, dtype.plain).reshape(shape, order=order)
            self.shape, self.dtype = self._values.shape, self._values.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The values, as `numpy.asarray` asks for them."""
        return np.array(self._values, dtype)
