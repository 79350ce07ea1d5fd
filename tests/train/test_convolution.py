"""Gradients of the packed convolution are those that XLA derives, in float64 where sums are exact enough."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from sesr_jax import ops
from sesr_jax.train import convolution, cpu


def _convolve_by_xla(x, kernel, padding, groups=1):
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _assert_close(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * (1 + np.abs(b).max()))


@st.composite
def _cases(draw):
    side = st.integers(1, 6)
    batch, height, width = draw(st.integers(1, 3)), draw(side), draw(st.integers(1, 17))
    kh, kw = draw(side), draw(side)
    padding = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in (kh, kw))
    height, width = (  # so large that there is an output
        max(n, k - sum(sides))
        for n, k, sides in zip((height, width), (kh, kw), padding, strict=True)
    )
    inputs, features = (draw(st.sampled_from((1, 3, 17, 64))) for _ in range(2))
    groups, seed = draw(st.integers(1, 4)), draw(st.integers(0, 99))
    shapes = (batch, height, width, groups * inputs), (kh, kw, inputs, groups * features)
    return *shapes, padding, groups, seed


_NO_PADDING = ((0, 0), (0, 0))


@settings(max_examples=6, deadline=None)
@given(_cases())
@example(((2, 5, 7, 64), (3, 5, 64, 4), ((1, 1), (2, 2)), 1, 0))  # products first, both ways round
@example(((2, 5, 8, 4), (4, 3, 4, 64), _NO_PADDING, 1, 0))
@example(((2, 3, 4, 64), (1, 1, 64, 3), _NO_PADDING, 1, 0))
@example(((2, 4, 6, 6), (3, 3, 2, 12), ((1, 1), (1, 1)), 3, 0))
@example(((2, 4, 6, 3), (3, 5, 3, 2), ((2, 0), (1, 3)), 1, 0))
def test_gradients_are_those_of_the_plain_convolution(case):
    x_shape, kernel_shape, padding, groups, seed = case
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        x, kernel = (jnp.asarray(rng.normal(size=shape)) for shape in (x_shape, kernel_shape))
        weights = jnp.asarray(rng.normal(size=_convolve_by_xla(x, kernel, padding, groups).shape))

        def loss(convolve, x, kernel):
            return jnp.sum(weights * jnp.sin(convolve(x, kernel, padding, groups)))

        ours, theirs = (
            jax.jit(jax.value_and_grad(functools.partial(loss, convolve), argnums=(0, 1)))(
                x, kernel
            )
            for convolve in (convolution.convolve, _convolve_by_xla)
        )
        _assert_close(ours, theirs)


def test_many_images_are_handled_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(convolution, "_CHUNK_VALUES", 300)
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, kernel = (jnp.asarray(rng.normal(size=shape)) for shape in ((6, 6, 8, 3), (3, 3, 3, 2)))
        ours, theirs = (
            jax.grad(lambda k, run=run: jnp.sum(run(x, k, ((1, 1), (1, 1))) ** 2))(kernel)
            for run in (convolution.convolve, _convolve_by_xla)
        )
    assert convolution.images_per_chunk(6, 6 * 8 * 3) == 2
    _assert_close(ours, theirs)


def test_gradients_of_gradients_and_batches_of_them_are_those_of_the_plain_convolution():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, kernels = (
            jnp.asarray(rng.normal(size=shape)) for shape in ((2, 5, 8, 3), (2, 3, 5, 3, 2))
        )

        def curvature(convolve, kernel):
            gradient = jax.grad(lambda k: jnp.sum(convolve(x, k, ((1, 1), (2, 2))) ** 3))
            return jax.grad(lambda k: jnp.sum(gradient(k) ** 2))(kernel)

        ours, theirs = (
            jax.jit(jax.vmap(functools.partial(curvature, convolve)))(kernels)
            for convolve in (convolution.convolve, _convolve_by_xla)
        )
        _assert_close(ours, theirs)


def test_without_gradients_it_is_the_plain_convolution_to_the_last_bit():
    rng = np.random.default_rng(0)
    x, kernel = (
        jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 9, 8, 5), (5, 5, 5, 4))
    )
    ours, theirs = (
        jax.jit(lambda x, k, run=run: run(x, k, ((2, 2), (2, 2))))(x, kernel)
        for run in (convolution.convolve, _convolve_by_xla)
    )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other backends use their own")
def test_every_convolution_of_a_gradient_is_in_the_order_that_the_compiler_wants():
    """A loop is not put right by the compiler, which then runs its slowest kind of convolution."""
    x, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 4))

    def many(x, kernel):
        loss = cpu.with_fast_convolutions(lambda x, k: jnp.sum(ops.conv2d(x, k) ** 2))
        gradient = jax.grad(loss, argnums=(0, 1))
        return lax.fori_loop(0, 2, lambda _, pair: gradient(*pair), (x, kernel))

    lines = jax.jit(many).lower(x, kernel).as_text(dialect="hlo").splitlines()
    orders = [line.split("dim_labels=")[1].split(",")[0] for line in lines if "dim_labels=" in line]
    assert len(orders) == 2  # forward, and to the input
    assert set(orders) == {"b01f_01io->b01f"}
