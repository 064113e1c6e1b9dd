"""Double precision for a block of code, under the name that JAX gives it."""

try:
    from jax import enable_x64
except ImportError:  # the first releases that we support
    from jax.experimental import enable_x64

__all__ = ["enable_x64"]
