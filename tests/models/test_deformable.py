"""The deformable convolution: initial offsets, samples, and a batch over devices."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from s2a_jax.models.deformable import DeformableConv3x3, sample_taps
from s2a_jax.models.layers import Conv


def test_without_offsets_it_is_a_plain_convolution():
    x = jax.random.normal(jax.random.key(0), (2, 6, 5, 3))
    variables = DeformableConv3x3(4).init(jax.random.key(1), x)
    variables["params"]["offset"]["bias"] = jnp.zeros(18)
    assert not np.any(variables["params"]["offset"]["kernel"])
    plain = {"params": {"kernel": variables["params"]["kernel"]}}
    expected = Conv(4, 3, padding=1, use_bias=False).apply(plain, x)
    np.testing.assert_allclose(DeformableConv3x3(4).apply(variables, x), expected, atol=1e-5)


def test_samples_are_bilinear_and_clamped_to_the_padded_map():
    x = jnp.arange(12.0).reshape(1, 3, 4, 1) + 1
    offsets = (
        jnp.zeros((1, 3, 4, 18))
        .at[0, 1, 1]
        .set(jnp.concatenate([jnp.full(9, 0.25), jnp.full(9, -0.5)]))
    )
    offsets = offsets.at[0, 2, 3].set(100.0)
    samples = np.asarray(sample_taps(x, offsets))[0, :, :, :, 0]
    centre = 4  # of the nine taps
    # Rows are 4 apart and columns 1, on a plane that bilinear interpolation reproduces.
    np.testing.assert_allclose(samples[1, 1, centre], x[0, 1, 1, 0] + 0.25 * 4 - 0.5, atol=1e-6)
    np.testing.assert_allclose(samples[2, 3], 0)  # the padding
    np.testing.assert_allclose(samples[0, 0, centre], x[0, 0, 0, 0])


def test_a_batch_over_devices_needs_no_communication():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    over_batch = NamedSharding(mesh, PartitionSpec("data"))
    x = jax.ShapeDtypeStruct((8, 8, 8, 4), jnp.float32, sharding=over_batch)
    offsets = jax.ShapeDtypeStruct((8, 8, 8, 18), jnp.float32, sharding=over_batch)

    def gradients(x, offsets):
        return jax.grad(lambda x, o: jnp.sum(sample_taps(x, o) ** 2), (0, 1))(x, offsets)

    program = jax.jit(gradients).lower(x, offsets).compile().as_text()
    assert "gather" in program
    assert not any(word in program for word in ("all-gather", "all-reduce", "collective-permute"))
