"""The law: an image upscaled in tiles equals the image upscaled whole.

The tiles hand the network the very numbers that the whole image does. What is left is the order in
which a backend sums, and each test below says how it deals with it.
"""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph import measure_extent, trace
from sesr_jax.models.network import init
from sesr_jax.upscale import upscale_tiled

_SMALL = {
    "blocks": 1,
    "expansion": 8,
    "centre": 0.5,
}  # exact beside the other numbers, as 128/255 is not
MODELS = {
    "sesr_x2": ("sesr_m3", 2, _SMALL),
    "sesr_x4": ("sesr_m3", 4, _SMALL),
    "fsrcnn_x2": ("fsrcnn", 2, {"mappings": 1}),
}
WIDE = {"sesr_xl_x2": ("sesr_xl", 2, _SMALL)}


@functools.cache
def _network(model, quantum=None):
    """The function and its halo; with every parameter a multiple of `quantum` if there is one."""
    name, scale, options = (MODELS | WIDE)[model]
    network = init(name, scale=scale, key=jax.random.key(1), **options).collapse()
    halo = measure_extent(network.trace((1, 64, 64, 1))).halo
    # A fresh network has no biases, which are what a wrong border shows most.
    keys = iter(jax.random.split(jax.random.key(2), 100))
    variables = jax.tree.map(
        lambda p: p + 0.1 * jax.random.normal(next(keys), p.shape), network.variables
    )
    if quantum:
        variables = jax.tree.map(lambda p: jnp.round(p / quantum) * quantum, variables)
    # Exact sums do not depend on how they are compiled.
    plain = {"xla_backend_optimization_level": 0} if quantum else None
    function = jax.jit(functools.partial(network.module.apply, variables), compiler_options=plain)
    return function, scale, halo


def _tiled_and_whole(model, image, extra, quantum=None):
    function, scale, halo = _network(model, quantum)
    tile = (2 * halo + extra[0], 2 * halo + extra[1])
    with jax.enable_x64(image.dtype == np.float64):
        tiled = upscale_tiled(function, image, scale=scale, tile=tile, halo=halo)
        whole = np.asarray(function(image[None])[0])
    assert tiled.dtype == whole.dtype == image.dtype
    return tiled, whole


def _image(height, width, dtype):
    rng = np.random.default_rng(height * 1000 + width)
    return rng.random((height, width, 1)).astype(dtype)


def _sizes(least):
    side = st.integers(least, 48)
    extra = st.integers(1, 12)
    return st.tuples(side, side, st.tuples(extra, extra))


@pytest.mark.parametrize("model", ["sesr_x2", "fsrcnn_x2"])
@settings(max_examples=3, deadline=None)
@given(size=_sizes(12))
def test_float64_to_the_last_bit(model, size):
    """`ops.conv2d` keeps float64 sums short enough for XLA's CPU backend to order them alike.

    That holds for any side of five pixels or more; below, its order depends on the image's size.
    """
    height, width, extra = size
    tiled, whole = _tiled_and_whole(model, _image(height, width, np.float64), extra)
    np.testing.assert_array_equal(tiled, whole)


@pytest.mark.parametrize("model", MODELS | WIDE)
@settings(max_examples=3, deadline=None)
@given(size=_sizes(1))
def test_exact_sums_to_the_last_bit(model, size):
    """Sums of multiples of a power of two are exact in float64, so that no order matters."""
    height, width, extra = size
    image = np.round(_image(height, width, np.float64) * 8) / 8
    tiled, whole = _tiled_and_whole(model, image, extra, quantum=0.25)
    np.testing.assert_array_equal(tiled, whole)
    assert len(np.unique(whole)) > 1


@pytest.mark.parametrize("model", MODELS | WIDE)
@settings(max_examples=3, deadline=None)
@given(size=_sizes(1))
def test_float32(model, size):
    """Sums of a thousand products round, by as much in tiles as in the whole image.

    How far the whole image is from float64 says how much that is.
    """
    height, width, extra = size
    image = _image(height, width, np.float32)
    tiled, whole = _tiled_and_whole(model, image, extra)
    function, _, _ = _network(model, None)
    with jax.enable_x64(True):
        exact = np.asarray(function(image[None].astype(np.float64))[0])
    assert abs(whole - exact).max() < 1e-5
    atol = 1e-6 * max(1, abs(whole).max()) + 2 * abs(whole - exact).max()
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=atol)


def test_the_law_fails_with_less_halo():
    """The halo is what the law rests on: one pixel less and the outermost tap is missing."""
    function, _, halo = _network("sesr_x2")
    image = _image(60, 60, np.float32)
    whole = np.asarray(function(image[None])[0])
    tiled = upscale_tiled(function, image, scale=2, tile=2 * halo + 4, halo=halo - 1)
    assert abs(tiled - whole).max() > 1e-5


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 20), st.integers(1, 80))
def test_windows_have_one_shape_and_cover_the_image(height, width, halo, extra):
    tile = 2 * halo + extra
    shapes, calls = set(), []

    def function(window):
        shapes.add(window.shape)
        return window

    image = np.arange(height * width).reshape(height, width, 1)
    result = upscale_tiled(
        function, image, scale=1, tile=tile, halo=halo, progress=lambda *args: calls.append(args)
    )
    np.testing.assert_array_equal(result, image)
    assert shapes == {(1, min(tile, height), min(tile, width), 1)}
    total = len(calls)
    assert calls == [(i, total) for i in range(1, total + 1)]


class _Folded(nn.Module):
    """Works at half the resolution."""

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.normal(1.0), (3, 3, 4, 16))
        h = ops.space_to_depth(x, block=2)
        return ops.depth_to_space(ops.conv2d(h, kernel.astype(x.dtype)), block=4)


def test_windows_keep_to_the_network_s_grid():
    module = _Folded()
    variables = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    graph = trace(module, variables, (1, 240, 240, 1))
    halo, align = measure_extent(graph).halo, measure_extent(graph).align
    assert align == 2
    function = jax.jit(functools.partial(module.apply, variables))
    image = _image(38, 50, np.float32)
    tiled = upscale_tiled(function, image, scale=2, tile=2 * halo + 4, halo=halo, align=align)
    np.testing.assert_allclose(tiled, function(image[None])[0], atol=1e-6)
    with pytest.raises(InputError, match="multiples of 2"):
        upscale_tiled(function, image[:37], scale=2, tile=16, halo=halo, align=align)


def test_a_tile_without_room_beside_its_halo_is_refused():
    with pytest.raises(InputError, match="at least 21"):
        upscale_tiled(lambda x: x, _image(50, 50, np.float32), scale=1, tile=20, halo=10)


_MEMORY = """
import resource, sys
import jax, numpy as np
from sesr_jax.models.network import init
from sesr_jax.upscale import from_network, upscale_photo
upscaler = from_network(init("sesr_m3", scale=2, key=jax.random.key(0), expansion=8, blocks=1))
height, width = map(int, sys.argv[1:])
photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
upscale_photo(upscaler, photo[:256, :256])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
large = upscale_photo(upscaler, photo)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 - large.nbytes)
"""


def test_memory_of_a_4k_photo_is_that_of_a_tile_and_the_result():
    # The whole photo's feature maps alone would be 2160 · 3840 · 16 floats of 4 bytes, 530 MB each.
    run = [sys.executable, "-c", _MEMORY, "2160", "3840"]
    extra = int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    assert extra < 100e6
