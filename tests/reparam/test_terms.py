"""The law: a term equals its collapse, everywhere in the image, borders and biases included."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax.errors import InputError
from sesr_jax.reparam import (
    AveragePool,
    Basis,
    BatchNorm,
    Concat,
    Conv,
    Depthwise,
    Dilated,
    FixedFilter,
    Grouped,
    Identity,
    Reach,
    Scale,
    Select,
    Sequential,
    Subsample,
    Sum,
    Term,
    collapse,
)

# Integers up to 2 in kernels up to 3×3 and nests of this depth stay far below 2²⁴, where float32 is exact.
_SIZES = st.integers(1, 3)
_CHANNELS = st.integers(1, 2)


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
def pointwise(draw, features: int) -> Term:
    """A term that keeps the channels."""
    vector = [_integers(draw, features) for _ in range(3)]
    taps = tuple(tuple((float(r - c),) * features for c in range(2)) for r in range(3))
    return draw(
        st.sampled_from(
            [
                Identity(features),
                Scale(*vector[:2]),
                BatchNorm(*vector, jnp.full(features, 4.0), eps=0.0),
                Depthwise(_integers(draw, 2, 3, features, 1), vector[0]),
                FixedFilter(taps),
                AveragePool((2, 1), features),
                Select(tuple(reversed(range(features))), features),
            ]
        )
    )


@st.composite
def terms(draw, features_in: int, features_out: int, depth: int = 2) -> Term:
    """A nest of stride 1; strides come on top of it, since branches must agree about them."""
    kinds = ["conv", "basis", "dilated"]
    if features_in == features_out:
        kinds += ["pointwise"] * 2
    if depth:
        kinds += ["sequential", "sum"] * 2
    if depth and features_out > 1:
        kinds += ["concat"] + ["grouped"] * (features_in > 1)
    kind = draw(st.sampled_from(kinds))
    if kind == "conv":
        return draw(convs(features_in, features_out))
    if kind == "basis":
        return draw(bases(features_in, features_out))
    if kind == "dilated":
        return Dilated(draw(convs(features_in, features_out)), (2, 1))
    if kind == "pointwise":
        return draw(pointwise(features_in))
    if kind == "sum":
        return Sum(
            tuple(
                draw(terms(features_in, features_out, depth - 1))
                for _ in range(draw(st.integers(1, 3)))
            )
        )
    if kind == "concat":
        rest = draw(terms(features_in, features_out - 1, depth - 1))
        return Concat((draw(terms(features_in, 1, depth - 1)), rest))
    if kind == "grouped":
        rest = draw(terms(features_in - 1, features_out - 1, depth - 1))
        return Grouped((draw(terms(1, 1, depth - 1)), rest))
    between = [
        features_in,
        *(draw(_CHANNELS) for _ in range(draw(st.integers(0, 1)))),
        features_out,
    ]
    return Sequential(tuple(draw(terms(a, b, depth - 1)) for a, b in itertools.pairwise(between)))


@st.composite
def terms_with_image(draw) -> tuple[Term, jax.Array]:
    features_in, features_out = draw(_CHANNELS), draw(_CHANNELS)
    shape = 2, *draw(st.sampled_from([(1, 1), (6, 4)])), features_in
    term = draw(terms(features_in, features_out, draw(st.integers(1, 2))))
    if draw(st.booleans()):
        behind = draw(terms(features_out, features_out, 0))
        term = Sequential((term, Subsample(features_out, (2, 3)), behind))
    return term, _integers(draw, *shape)


@settings(max_examples=30, deadline=None)
@given(terms_with_image())
def test_law_is_exact_on_integers(case):
    term, x = case
    np.testing.assert_array_equal(term.collapse().apply(x), term.apply(x))


@settings(max_examples=6, deadline=None)
@given(terms_with_image())
def test_law_holds_in_floats(case):
    term, x = case
    term = jax.tree.map(lambda p: p * 0.37 + 0.01, term)
    want = np.asarray(term.apply(x))
    np.testing.assert_allclose(
        term.collapse().apply(x), want, rtol=1e-5, atol=1e-5 * (1 + np.abs(want).max())
    )


@settings(max_examples=6, deadline=None)
@given(terms_with_image())
def test_collapse_is_idempotent_and_keeps_the_facts(case):
    term, _ = case
    once = term.collapse()
    assert jax.tree.structure(once.collapse()) == jax.tree.structure(once)
    assert once.facts == term.facts
    assert once.kernel.shape[:2] == term.reach.kernel_size


@settings(max_examples=6, deadline=None)
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


@settings(max_examples=4, deadline=None)
@given(terms_with_image())
def test_law_holds_under_jit_and_vmap(case):
    term, x = case
    want = np.asarray(term.apply(x))
    np.testing.assert_array_equal(jax.jit(lambda t, y: t.collapse().apply(y))(term, x), want)
    # Variances stay powers of four.
    stacked = jax.tree.map(lambda p: jnp.stack([p, 4 * p]), term)
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
    taps = term.apply_valid(jnp.pad(jnp.ones((1, 1, 1, 1)), ((0, 0), (2, 2), (2, 2), (0, 0))))
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


_NARROW, _WIDE = Conv(jnp.ones((1, 1, 1, 2))), Conv(jnp.ones((1, 1, 3, 1)))
_STRIDED = Conv(jnp.ones((1, 1, 1, 2)), strides=(2, 1))


@pytest.mark.parametrize(
    ("term", "fault"),
    [
        (Sequential((_NARROW, _WIDE)), "channels"),
        (Sum((_NARROW, _WIDE)), "channels"),
        (Concat((_NARROW, _WIDE)), "channels"),
        (Sum((_NARROW, _STRIDED)), "strides"),
        (Concat((_NARROW, _STRIDED)), "strides"),
        (Grouped((_NARROW, _STRIDED)), "strides"),
    ],
)
def test_terms_that_do_not_fit_are_named(term, fault):
    with pytest.raises(InputError, match=fault):
        term.collapse()
    with pytest.raises(InputError, match=fault):
        term.apply(jnp.zeros((1, 4, 4, 1)))


_POINT = Conv(jnp.ones((1, 1, 1, 1)))


@pytest.mark.parametrize(
    ("term", "fault"),
    [
        (Sequential(()), "a Sequential of no terms"),
        (Sum(()), "a Sum of no terms"),
        (Concat(()), "a Concat of no terms"),
        (Grouped(()), "a Grouped of no terms"),
        (Select((0, 1), 1), "the channel 1 out of 1"),
        (Select((-1,), 1), "the channel -1 out of 1"),
        (_POINT.replace(anchor=(1, 0)), r"the anchor \(1, 0\) of a 1×1 kernel"),
        (_POINT.replace(anchor=(0, -1)), r"the anchor \(0, -1\)"),
        (_POINT.replace(strides=(0, 1)), r"strides of \(0, 1\)"),
        (Subsample(1, (1, 0)), r"strides of \(1, 0\)"),
        (Dilated(_POINT, (0, 1)), r"rates of \(0, 1\)"),
    ],
)
def test_values_out_of_their_bounds_are_named(term, fault):
    for run in (term.collapse, lambda: term.apply(jnp.zeros((1, 4, 4, 1)))):
        with pytest.raises(InputError, match=fault):
            run()


@pytest.mark.parametrize(
    "term",
    [Identity(4), Select((0,), 4), Grouped((Identity(2), Identity(2))), Scale(jnp.ones(4))],
    ids=lambda term: type(term).__name__,
)
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_an_image_of_other_channels_is_refused(term, channels):
    with pytest.raises(InputError, match=rf"of {channels} channels for a term of 4 input channels"):
        term.apply(jnp.zeros((1, 4, 4, channels)))


def test_an_anchor_at_the_centre_is_none_after_the_collapse():
    term = Conv(jnp.ones((3, 3, 1, 1)), anchor=(1, 1))
    assert term.collapse().anchor is None
    assert jax.tree.structure(term.collapse()) == jax.tree.structure(Sum((term,)).collapse())


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_identity_takes_the_dtype_of_its_neighbours(dtype):
    term = Sum((Conv(jnp.ones((3, 3, 2, 2), dtype)), Identity(2)))
    assert term.collapse().kernel.dtype == dtype


def test_nnx_trains_and_collapses_a_term():
    class Layer(nnx.Module):
        def __init__(self, term):
            self.term = nnx.Param(term)

        def __call__(self, x):
            return self.term.get_value().collapse().apply(x)

    term, x = (
        Sequential((Conv(jnp.ones((3, 3, 1, 2))), Scale(jnp.arange(2.0)))),
        jnp.ones((1, 4, 4, 1)),
    )
    want = jax.grad(lambda term: term.apply(x).sum())(term)
    layer = Layer(term)
    graph, state = nnx.split(layer)
    inside = jax.jit(jax.grad(lambda state: nnx.merge(graph, state)(x).sum()))(state)
    outside = nnx.grad(lambda layer: layer(x).sum())(layer)
    for gradient in (inside, outside):
        jax.tree.map(np.testing.assert_array_equal, gradient["term"].get_value(), want)
    deployed = nnx.merge(graph, collapse(state))
    assert isinstance(deployed.term.get_value(), Conv)
    np.testing.assert_array_equal(deployed(x), layer(x))


def test_a_strided_output_lies_on_multiples_of_the_stride():
    x = jnp.arange(35.0).reshape(1, 5, 7, 1)
    every = Conv(jnp.ones((3, 3, 1, 1)))
    strided = every.replace(strides=(2, 3))
    np.testing.assert_array_equal(strided.apply(x), every.apply(x)[:, ::2, ::3])


def test_strides_compose():
    """The taps of what stands behind a stride lie as far apart as the stride; strides multiply."""
    first = Conv(jnp.ones((1, 1, 1, 1)), strides=(2, 1))
    both = Sequential((first, Conv(jnp.ones((3, 3, 1, 1)), strides=(3, 2)))).collapse()
    assert both.strides == (6, 2)
    assert both.reach == Reach(2, 2, 1, 1)
    np.testing.assert_array_equal(both.kernel[:, 0, 0, 0], [1, 0, 1, 0, 1])
