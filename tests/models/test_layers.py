"""Layers with kernels of their own, by what they have in common with plain convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import ops
from sesr_jax.models.layers import Conv, ConvTranspose


def _integers(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).integers(-4, 5, shape), jnp.float32)


def _fill(variables, seed=7):
    leaves, tree = jax.tree.flatten(variables)
    return jax.tree.unflatten(tree, [_integers(seed + i, *x.shape) for i, x in enumerate(leaves)])


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_do_not_see_each_other(groups):
    layer, x = Conv(8, 3, groups=groups), _integers(0, 2, 5, 6, 4)
    params = _fill(layer.init(jax.random.key(0), x))["params"]
    assert params["kernel"].shape == (3, 3, 4 // groups, 8)
    parts = [
        ops.conv2d(x[..., part], params["kernel"][..., out], params["bias"][out])
        for part, out in zip(
            np.split(np.arange(4), groups), np.split(np.arange(8), groups), strict=True
        )
    ]
    found = layer.apply({"params": params}, x)
    np.testing.assert_array_equal(found, jnp.concatenate(parts, axis=-1))


@pytest.mark.parametrize(("stride", "size"), [(1, 3), (2, 3), (3, 5)])
def test_a_transposed_convolution_is_the_adjoint_of_the_strided_one(stride, size):
    """``⟨upscale(x), y⟩ == ⟨x, downscale(y)⟩`` with the kernel's channels exchanged, on integers."""
    up = ConvTranspose(2, size, stride)
    x, y = _integers(0, 1, 4, 5, 3), _integers(1, 1, 4 * stride, 5 * stride, 2)
    params = _fill(up.init(jax.random.key(0), x))["params"]
    params["bias"] = jnp.zeros_like(params["bias"])
    top = size - 1 - (size - 1 - max(size - stride, 0) // 2)
    sides = (top, size - stride - top)
    down = Conv(3, size, stride=stride, padding=(sides, sides))
    kernel = jnp.flip(params["kernel"], (0, 1)).swapaxes(2, 3)
    lower = down.apply({"params": {"kernel": kernel, "bias": jnp.zeros(3)}}, y)
    assert lower.shape == x.shape
    assert jnp.vdot(up.apply({"params": params}, x), y) == jnp.vdot(x, lower)
