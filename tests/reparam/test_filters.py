"""Each term that works channel by channel equals what other code calls by its name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax
from laws import check_law, image

from sesr_jax import ops
from sesr_jax.reparam import (
    AveragePool,
    Conv,
    Depthwise,
    Dilated,
    Grouped,
    Scale,
    Select,
    Sequential,
    Sum,
    crd_to_dcr,
    dense,
    frequency_prior,
    laplacian,
    nearest,
    sobel_x,
    sobel_y,
)

_X = image(2, 6, 5, 4)


def _lax(x, kernel, groups=1, **options):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=groups, **options
    )


def test_grouped_convolutions():
    kernel = image(3, 3, 2, 6)
    term = Grouped((Conv(kernel[..., :3]), Conv(kernel[..., 3:])))
    np.testing.assert_array_equal(term.collapse().apply(_X), _lax(_X, kernel, groups=2))


def test_depthwise_convolutions():
    kernel = image(3, 3, 4, 2)
    want = _lax(_X, kernel.reshape(3, 3, 1, 8), groups=4)
    np.testing.assert_array_equal(Depthwise(kernel).collapse().apply(_X), want)


def test_depthwise_separable_becomes_dense():
    """OREPA's rule: K[:, :, i, o] = Σ_t dw[:, :, i, t] · pw[i, t, o]."""
    each, point = image(3, 3, 4, 2), image(1, 1, 8, 3, seed=1)
    term = Sequential((Depthwise(each), Conv(point)))
    want = jnp.einsum("hwit,ito->hwio", each, point.reshape(4, 2, 3))
    np.testing.assert_array_equal(term.collapse().kernel, want)


def test_average_pooling():
    term = AveragePool((3, 2), 4)
    want = nn.avg_pool(_X, (3, 2), padding="SAME")
    np.testing.assert_allclose(term.apply(_X), want, atol=1e-6)
    np.testing.assert_allclose(term.collapse().apply(_X), want, atol=1e-6)


def test_dilated_convolutions():
    kernel = image(3, 3, 4, 4)
    want = _lax(_X, kernel, rhs_dilation=(2, 1))
    np.testing.assert_array_equal(Dilated(Conv(kernel), (2, 1)).collapse().apply(_X), want)


def test_edge_filters_differentiate():
    """On a plane a·row + b·column + c, away from the border, a Sobel filter gives -8 times a slope."""
    row, column = jnp.mgrid[:5, :5]
    plane = (3.0 * row + 2.0 * column + 7.0)[None, :, :, None]
    for make, want in ((sobel_x, -16), (sobel_y, -24), (laplacian, 0)):
        assert np.all(make(1).collapse().apply(plane)[0, 1:-1, 1:-1] == want)
        assert not jax.tree.leaves(make(1))


@pytest.mark.parametrize("size", [(3, 3), (5, 3)])
def test_frequency_priors_are_orthogonal_cosines(size):
    """Rows of a cosine transform: mean-free and orthogonal; half of the channels along each axis."""
    taps = np.asarray(frequency_prior(size, 4).taps)
    np.testing.assert_allclose(taps, taps[:, :1] * [1, 1, 0, 0] + taps[:1] * [0, 0, 1, 1])
    flat = taps.reshape(-1, 4)
    np.testing.assert_allclose(flat.sum(0), 0, atol=1e-12)
    gram = flat.T @ flat
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-12)


@pytest.mark.parametrize("block", [2, 3])
def test_the_nearest_residual_is_nearest_neighbour_upscaling(block):
    """ABPN's anchor: it folds into the last convolution, and depth-to-space does the rest."""
    x = image(1, 4, 5, 3)
    anchor = nearest(3, block)
    upscaled = ops.depth_to_space(anchor.apply(x), block=block)
    np.testing.assert_array_equal(upscaled, ops.resize(x, scale=block, method="nearest"))
    last = dense(3)(jax.random.key(0), 3, 3 * block**2)
    folded = Sum((last, anchor)).collapse()
    assert folded.kernel.shape == (3, 3, 3, 3 * block**2)
    centre = folded.kernel[1, 1] - last.kernel[1, 1]
    np.testing.assert_allclose(centre, anchor.collapse().kernel[0, 0], atol=1e-6)


@pytest.mark.parametrize("block", [2, 3])
def test_a_convolution_for_a_pixel_shuffle_feeds_depth_to_space(block):
    conv = Conv(image(3, 3, 2, 2 * block**2), image(2 * block**2, seed=1))
    x = image(1, 4, 5, 2, seed=2)
    y = conv.apply(x).reshape(1, 4, 5, 2, block, block)  # PyTorch: channel, row, column
    want = y.transpose(0, 1, 4, 2, 5, 3).reshape(1, 4 * block, 5 * block, 2)
    moved = Sequential((conv, crd_to_dcr(2, block))).collapse()
    np.testing.assert_array_equal(ops.depth_to_space(moved.apply(x), block=block), want)


def test_selections_may_leave_out_and_repeat():
    term = Select((2, 2, 0), 4)
    check_law(Sequential((Scale(jnp.arange(4.0)), term)), _X)
    np.testing.assert_array_equal(term.apply(_X), _X[..., [2, 2, 0]])
