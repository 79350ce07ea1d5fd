"""The bicubic interpolation inside of networks is PyTorch's or MATLAB's."""

import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.data import imresize
from sesr_jax.models.bicubic import MATLAB, PYTORCH, resize_bicubically


def _interpolate(x, scale):
    """PyTorch's bicubic interpolation of rows and columns, ``align_corners=False``, in float64."""
    for axis in (1, 2):
        place = (np.arange(x.shape[axis] * scale) + 0.5) / scale - 0.5
        first = np.floor(place).astype(int)
        t = np.expand_dims(place - first, (0, *(i for i in (1, 2) if i != axis), 3))
        near = [((1.25 * d - 2.25) * d) * d + 1 for d in (t, 1 - t)]
        far = [((-0.75 * d + 3.75) * d - 6) * d + 3 for d in (1 + t, 2 - t)]
        x = sum(
            weight * np.take(x, np.clip(first + i, 0, x.shape[axis] - 1), axis)
            for i, weight in zip((-1, 0, 1, 2), (far[0], *near, far[1]), strict=True)
        )
    return x


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_the_interpolation_of_pytorch_and_inside_the_image_that_of_matlab(scale):
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3))
    image = jnp.asarray(x, jnp.float32)
    found = resize_bicubically(image, scale, PYTORCH)
    np.testing.assert_allclose(found, _interpolate(x, scale), atol=1e-5)
    inside = np.s_[:, 2 * scale : -2 * scale, 2 * scale : -2 * scale]
    found = resize_bicubically(image, scale, MATLAB)
    expected = np.stack([imresize(one, scale) for one in x])
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)
