"""Networks as pure Flax (Linen) modules; of this package they import only `s2a_jax.errors`."""
