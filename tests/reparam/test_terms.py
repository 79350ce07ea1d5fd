"""The law: a term equals its collapse, everywhere in the image, borders and biases included."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax.errors import InputError
from sesr_jax.reparam import Basis, Conv, Identity, Reach, Scale, Sequential, Sum, Term, collapse

# Integers up to 2 in kernels up to 3×3 and nests of this depth stay far below 2²⁴, where float32 is exact.
_SIZES = st.integers(1, 3)


def _integers(draw, *shape: int) -> jax.Array:
    seed = draw(st.integers(0, 2**31))
    return jnp.asarray(np.random.default_rng(seed).integers(-2, 3, shape), jnp.float32)


@st.composite
def convs(draw, features_in: int, features_out: int) -> Conv:
    kh, kw = draw(_SIZES), draw(_SIZES)
    bias = _integers(draw, features_out) if draw(st.booleans()) else None
    anchor = draw(st.none() | st.tuples(st.integers(0, kh - 1), st.integers(0, kw - 1)))
    return Conv(_integers(draw, kh, kw, features_in, features_out), bias, anchor)


@st.composite
def bases(draw, features_in: int, features_out: int) -> Basis:
    n, kh, kw = draw(_SIZES), draw(_SIZES), draw(_SIZES)
    return Basis(
        _integers(draw, n, kh, kw, features_in, features_out),
        _integers(draw, n),
        _integers(draw, features_out) if draw(st.booleans()) else None,
    )


@st.composite
def terms(draw, features_in: int, features_out: int, depth: int = 2) -> Term:
    kinds = ["conv", "basis"]
    if features_in == features_out:
        kinds += ["identity", "scale"]
    if depth:
        kinds += ["sequential", "sum"] * 2
    kind = draw(st.sampled_from(kinds))
    if kind == "conv":
        return draw(convs(features_in, features_out))
    if kind == "basis":
        return draw(bases(features_in, features_out))
    if kind == "identity":
        return Identity(features_in)
    if kind == "scale":
        return Scale(_integers(draw, features_in))
    if kind == "sum":
        return Sum(
            tuple(
                draw(terms(features_in, features_out, depth - 1))
                for _ in range(draw(st.integers(1, 3)))
            )
        )
    between = [features_in, *(draw(_SIZES) for _ in range(draw(st.integers(0, 2)))), features_out]
    return Sequential(tuple(draw(terms(a, b, depth - 1)) for a, b in itertools.pairwise(between)))


@st.composite
def terms_with_image(draw) -> tuple[Term, jax.Array]:
    features_in, features_out = draw(_SIZES), draw(_SIZES)
    shape = draw(st.integers(1, 2)), *draw(st.sampled_from([(1, 1), (2, 5), (6, 4)])), features_in
    return draw(terms(features_in, features_out)), _integers(draw, *shape)


@settings(max_examples=60, deadline=None)
@given(terms_with_image())
def test_law_is_exact_on_integers(case):
    term, x = case
    np.testing.assert_array_equal(term.collapse().apply(x), term.apply(x))


@settings(max_examples=15, deadline=None)
@given(terms_with_image())
def test_law_holds_in_floats(case):
    term, x = case
    term = jax.tree.map(lambda p: p * 0.37 + 0.01, term)
    want = np.asarray(term.apply(x))
    np.testing.assert_allclose(
        term.collapse().apply(x), want, rtol=1e-5, atol=1e-5 * (1 + np.abs(want).max())
    )


@settings(max_examples=15, deadline=None)
@given(terms_with_image())
def test_collapse_is_idempotent_and_keeps_the_facts(case):
    term, _ = case
    once = term.collapse()
    assert jax.tree.structure(once.collapse()) == jax.tree.structure(once)
    assert (once.in_features, once.out_features) == (term.in_features, term.out_features)
    assert once.reach == term.reach
    assert once.kernel.shape[:2] == term.reach.kernel_size


@settings(max_examples=12, deadline=None)
@given(terms_with_image())
def test_gradients_pass_through_the_collapse(case):
    """Gradients of parameters and of the image, exactly: all the sums are of small integers."""
    term, x = case

    def through(function):
        return jax.grad(
            lambda t, y: jnp.sum(function(t, y) * jnp.arange(1.0, 3.0)[0]), argnums=(0, 1)
        )(term, x)

    expanded = through(lambda t, y: t.apply(y))
    collapsed = through(lambda t, y: t.collapse().apply(y))
    jax.tree.map(np.testing.assert_array_equal, collapsed, expanded)


@settings(max_examples=6, deadline=None)
@given(terms_with_image())
def test_law_holds_under_jit_and_vmap(case):
    term, x = case
    want = np.asarray(term.apply(x))
    np.testing.assert_array_equal(jax.jit(lambda t, y: t.collapse().apply(y))(term, x), want)
    stacked = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), term)
    images = jnp.stack([x, x])
    both = jax.vmap(lambda t, y: t.collapse().apply(y))(stacked, images)
    each = jax.vmap(lambda t, y: t.apply(y))(stacked, images)
    np.testing.assert_array_equal(both, each)
    np.testing.assert_array_equal(both[0], want)


def test_a_bias_before_a_wide_kernel_reaches_the_border():
    """The case that padding each layer anew gets wrong: the law must not hold for that reading."""
    term = Sequential((Conv(jnp.ones((1, 1, 1, 1)), jnp.ones(1)), Conv(jnp.ones((3, 3, 1, 1)))))
    x = jnp.zeros((1, 4, 4, 1))
    want = np.full((1, 4, 4, 1), 9.0)
    np.testing.assert_array_equal(term.apply(x), want)
    np.testing.assert_array_equal(term.collapse().apply(x), want)
    padded_anew = term.terms[1].apply(term.terms[0].apply(x))
    assert padded_anew[0, 0, 0, 0] == 4
    assert padded_anew[0, 1, 1, 0] == 9


def test_the_released_collapse_is_wrong_where_biases_are_not_zero():
    """Arm's code sends the delta image through layers with biases, which lands in every tap."""
    term = Sequential((Conv(jnp.ones((3, 3, 1, 2)), jnp.ones(2)), Conv(jnp.ones((1, 1, 2, 1)))))
    taps = term.valid(jnp.pad(jnp.ones((1, 1, 1, 1)), ((0, 0), (2, 2), (2, 2), (0, 0))))
    assert not np.array_equal(taps[0, ::-1, ::-1, 0], term.collapse().kernel[..., 0, 0])
    np.testing.assert_array_equal(taps[0, ::-1, ::-1, 0] - 2, term.collapse().kernel[..., 0, 0])


def test_reach_of_even_kernels_composes():
    two = Conv(jnp.ones((2, 2, 1, 1)))
    assert two.reach == Reach(0, 1, 0, 1)
    assert Sequential((two, two)).collapse().reach == Reach(0, 2, 0, 2)


def test_collapse_maps_over_trees_and_keeps_the_rest():
    tree = {"a": {"term": Sum((Identity(2), Conv(jnp.ones((1, 1, 2, 2)))))}, "slope": jnp.ones(2)}
    collapsed = collapse(tree)
    assert isinstance(collapsed["a"]["term"], Conv)
    assert collapsed["slope"] is tree["slope"]
    assert isinstance(tree["a"]["term"], Sum)


@pytest.mark.parametrize(
    "term",
    [
        Sequential((Conv(jnp.ones((1, 1, 1, 2))), Conv(jnp.ones((1, 1, 3, 1))))),
        Sum((Conv(jnp.ones((1, 1, 1, 2))), Conv(jnp.ones((1, 1, 1, 3))))),
    ],
)
def test_channels_that_disagree_are_named(term):
    with pytest.raises(InputError, match="channels"):
        term.collapse()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_identity_takes_the_dtype_of_its_neighbours(dtype):
    term = Sum((Conv(jnp.ones((3, 3, 2, 2), dtype)), Identity(2)))
    assert term.collapse().kernel.dtype == dtype


def test_float64_law_to_the_last_bits():
    with jax.enable_x64(True):
        key = jax.random.key(0)
        term = Sequential(
            (
                Conv(jax.random.normal(key, (5, 5, 3, 64), jnp.float64), jnp.ones(64)),
                Conv(jax.random.normal(key, (3, 3, 64, 4), jnp.float64), jnp.ones(4)),
            )
        )
        x = jax.random.normal(key, (2, 17, 13, 3), jnp.float64)
        want = term.apply(x)
        np.testing.assert_allclose(
            term.collapse().apply(x), want, rtol=0, atol=1e-11 * float(jnp.abs(want).max())
        )
