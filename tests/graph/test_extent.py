"""How far networks look: what changes an output pixel, and what does not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.graph import Extent, measure_extent, trace
from sesr_jax.upscale import upscale_tiled

RNG = np.random.default_rng(0)


def kernel(height, width, inputs, outputs):
    return np.asarray(RNG.uniform(0.1, 1, (height, width, inputs, outputs)), np.float32)


def _chain(*layers):
    return lambda x: functools.reduce(lambda y, layer: layer(y), layers, x)


def conv(side, inputs=1, outputs=1, **attrs):
    taps = kernel(*((side, side) if isinstance(side, int) else side), inputs, outputs)
    return lambda x: ops.conv2d(x, taps, **attrs)


def transposed(side, stride, inputs=1, outputs=1):
    taps = kernel(side, side, inputs, outputs)
    return lambda x: ops.conv2d_transpose(x, taps, strides=(stride, stride))


def pool(side, stride=1, padding="SAME"):
    return lambda x: ops.max_pool(x, window=(side, side), strides=(stride, stride), padding=padding)


def shuffle(block):
    return lambda x: ops.depth_to_space(x, block=block)


def unshuffle(block):
    return lambda x: ops.space_to_depth(x, block=block)


def resize(scale, method):
    return lambda x: ops.resize(x, scale=scale, method=method)


def residual(body):
    return lambda x: ops.add(x, body(x))


LOCAL = {
    "one pixel": (_chain(conv(1), ops.relu), Extent(halo=0)),
    "3×3": (conv(3), Extent(halo=1)),
    "odd padding": (conv((3, 5), padding=((2, 0), (1, 3))), Extent(halo=3)),
    "even kernel": (conv(4), Extent(halo=2)),
    "two layers": (_chain(conv(3), conv(5)), Extent(halo=3)),
    "paddings that cancel": (
        _chain(conv(3, padding=((2, 0), (2, 0))), conv(3, padding=((0, 2), (0, 2)))),
        Extent(halo=2),
    ),
    "residual": (residual(_chain(conv(3), conv(3))), Extent(halo=2)),
    "shuffle": (_chain(conv(3, 1, 4), shuffle(2)), Extent(halo=1)),
    "transposed 9/2": (transposed(9, 2), Extent(halo=2)),
    "transposed 9/3": (_chain(conv(3), transposed(9, 3)), Extent(halo=2)),
    "nearest": (_chain(resize(2, "nearest"), conv(3)), Extent(halo=1)),
    "bilinear": (_chain(resize(2, "bilinear")), Extent(halo=1)),
    "bilinear by 3, then 5×5": (_chain(resize(3, "bilinear"), conv(5)), Extent(halo=1)),
    "unshuffle": (_chain(unshuffle(2), conv(3, 4, 4), shuffle(2)), Extent(halo=3, align=2)),
    "strided, back": (
        _chain(conv(3, 1, 4, strides=(2, 2)), conv(3, 4, 4), shuffle(2)),
        Extent(halo=4, align=2),
    ),
    "stride 3, transposed": (
        _chain(conv(5, strides=(3, 3)), transposed(3, 3)),
        Extent(halo=3, align=3),
    ),
    "pool, back": (_chain(pool(3, 2), resize(2, "bilinear")), Extent(halo=3, align=2)),
    "two strides": (
        _chain(conv(3, strides=(2, 2)), conv(3, strides=(2, 2)), resize(4, "nearest")),
        Extent(halo=6, align=4),
    ),
    "channels alone": (
        lambda x: ops.mul(x, ops.mean(ops.concat(x, x), axes=(3,))),
        Extent(halo=0),
    ),
    "slice of channels": (
        _chain(conv(3, 1, 2), lambda x: ops.slice(x, begin=(0, 0, 0, 1), size=(-1, -1, -1, 1))),
        Extent(halo=1),
    ),
}


def _traced(function, height=24, width=36):
    return trace(nn.Sequential([function]), {}, (1, height, width, 1))


@pytest.mark.parametrize("name", LOCAL)
def test_the_halo_and_the_multiple_of_local_networks(name):
    function, expected = LOCAL[name]
    found = measure_extent(_traced(function))
    assert found.align == expected.align
    assert found == expected


@pytest.mark.parametrize("name", LOCAL)
def test_a_pixel_outside_the_halo_changes_nothing_and_one_at_it_does(name):
    """Each input pixel of one period is perturbed: no further output pixel changes, and some at the halo."""
    function, _ = LOCAL[name]
    found = measure_extent(_traced(function))
    side = 12 * found.align if found.align > 1 else 16
    x = np.zeros((1, side, side, 1), np.float32)
    start = side // 2 // found.align * found.align
    base = np.asarray(function(x))
    scale = base.shape[1] // side
    furthest = 0
    for row in range(start, start + found.align):
        for column in range(start, start + found.align):
            changed = x.copy()
            changed[0, row, column] = 1
            ys, xs = np.nonzero(np.any(np.asarray(function(changed)) != base, axis=-1)[0])
            distances = np.abs(ys // scale - row), np.abs(xs // scale - column)
            furthest = max(furthest, *(int(d.max()) for d in distances))
    assert furthest == found.halo


@pytest.mark.parametrize("name", LOCAL)
def test_tiles_equal_the_whole_image(name):
    function, _ = LOCAL[name]
    found = measure_extent(_traced(function))
    height, width = 5 * found.align + 12, 7 * found.align + 12
    x = RNG.random((height, width, 1), np.float32)
    whole = np.asarray(function(x[None]))[0]
    tile = 2 * found.halo + found.align, 2 * found.halo + 2 * found.align
    tiled = upscale_tiled(
        jax.jit(function),
        x,
        scale=len(whole) // height,
        tile=tile,
        halo=found.halo,
        align=found.align,
    )
    np.testing.assert_allclose(tiled, whole, rtol=1e-5, atol=1e-6)


def _squeeze(x):
    return ops.mul(x, ops.sigmoid(conv(1)(ops.mean(x))))


def _attention(x):
    """ESA's way: a strided 3×3 and a 7/3 pooling without padding, resized back to the size of its input."""
    y = pool(7, 3, "VALID")(conv(3, strides=(2, 2), padding="VALID")(x))
    return ops.mul(x, ops.sigmoid(ops.add(ops.resize_like(conv(3)(y), x), x)))


@pytest.mark.parametrize(
    ("function", "whole", "align"),
    [
        (_squeeze, "mean", 1),
        (lambda x: ops.add(conv(3)(x), ops.mean(x, axes=(1,))), "mean", 1),
        (_chain(unshuffle(2), lambda x: ops.mul(x, ops.mean(x)), shuffle(2)), "mean", 2),
        (_attention, "resize_like", 1),
        # The strided map is seen by the mean alone, which takes any size of it.
        (lambda x: ops.mul(x, ops.mean(conv(3, strides=(2, 2), padding="VALID")(x))), "mean", 1),
    ],
)
@pytest.mark.parametrize("size", [(24, 36), (25, 37), (17, 19)])
def test_what_looks_at_the_whole_image_is_named(function, whole, align, size):
    if align == 2:
        size = tuple(n + n % 2 for n in size)
    assert measure_extent(_traced(function, *size)) == Extent(halo=None, align=align, whole=whole)


def test_what_the_output_does_not_read_does_not_count():
    def function(x):
        ops.mean(x)
        conv(9, strides=(3, 3))(x)
        return conv(3)(x)

    assert measure_extent(_traced(function)) == Extent(halo=1)


def test_a_box_within_the_image_depends_on_its_size():
    def function(x):
        return ops.slice(x, begin=(0, 0, 0, 0), size=(-1, 20, -1, -1))

    assert measure_extent(_traced(function)).halo is None
    assert jax.eval_shape(function, jnp.zeros((1, 24, 36, 1))).shape == (1, 20, 36, 1)
