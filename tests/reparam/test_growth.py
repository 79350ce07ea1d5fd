"""Growth keeps the merged kernel, or changes it as published; on small integers, to the last bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax.errors import InputError
from sesr_jax.reparam import (
    Basis,
    Conv,
    Identity,
    Sequential,
    Sum,
    collapse,
    grow_basis,
    kernel_basis,
    list_basis_sizes,
    pad_basis,
)


def _basis(seed: int, size: int, features_in: int = 2, features_out: int = 2) -> Basis:
    rng = np.random.default_rng(seed)

    def integers(*shape):
        return jnp.asarray(rng.integers(-4, 5, shape), jnp.float32)

    return Basis(
        integers(size, 3, 3, features_in, features_out), integers(size), integers(features_out)
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 3))
def test_the_merged_kernel_is_kept_exactly(seed, size, added):
    basis = _basis(seed, size)
    grown = grow_basis(basis, jax.random.key(seed % 1000), added)
    assert list_basis_sizes(grown) == [size + added]
    np.testing.assert_array_equal(grown.collapse().kernel, basis.collapse().kernel)
    np.testing.assert_array_equal(grown.collapse().bias, basis.bias)
    np.testing.assert_array_equal(grown.kernels[:size], basis.kernels)
    np.testing.assert_array_equal(grown.coefficients, [*basis.coefficients, *[0] * added])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 3))
def test_the_published_growth_weighs_all_kernels_alike(seed, size, added):
    basis = _basis(seed, size)
    grown = grow_basis(basis, jax.random.key(seed % 1000), added, preserve=False)
    np.testing.assert_array_equal(grown.kernels[:size], basis.kernels)
    np.testing.assert_array_equal(
        grown.coefficients, np.full(size + added, np.float32(1 / (size + added)))
    )
    # The law in float64, from the kernels alone: the weights before do not matter.
    want = np.asarray(grown.kernels, np.float64).sum(axis=0) / (size + added)
    np.testing.assert_allclose(grown.collapse().kernel, want, atol=1e-6)


@pytest.mark.parametrize("added", [1, 5])
def test_the_published_law_is_exact_where_the_new_weights_are(added):
    """3 + 1 = 4 and 3 + 5 = 8 kernels: dividing by a power of two does not round."""
    grown = grow_basis(_basis(0, 3), jax.random.key(0), added, preserve=False)
    whole = grown.replace(kernels=jnp.round(grown.kernels * 64) / 64)
    want = np.asarray(whole.kernels, np.float64).sum(axis=0) / (3 + added)
    np.testing.assert_array_equal(whole.collapse().kernel, want)


@pytest.mark.parametrize("preserve", [True, False])
def test_new_kernels_are_glorot_uniform_and_all_differ(preserve):
    grown = grow_basis(_basis(0, 1, 16, 16), jax.random.key(0), 3, preserve=preserve)
    limit = (6 / (9 * 16 + 9 * 16)) ** 0.5
    for kernel in grown.kernels[1:]:
        assert 0.9 * limit < float(jnp.abs(kernel).max()) <= limit
    assert len({float(kernel.sum()) for kernel in grown.kernels}) == 4


def test_every_basis_of_a_tree_grows_with_kernels_of_its_own_and_the_rest_stays():
    block = Sum((Sequential((_basis(1, 2), Conv(jnp.ones((1, 1, 2, 2))))), Identity(2)))
    tree = {"a": {"term": _basis(0, 2)}, "b": {"term": block}, "slope": jnp.ones(2)}
    grown = grow_basis(tree, jax.random.key(0), 2)
    assert list_basis_sizes(tree) == [2, 2]
    assert list_basis_sizes(grown) == [4, 4]
    inner = grown["b"]["term"].terms[0].terms[0]
    assert not np.array_equal(inner.kernels[2:], grown["a"]["term"].kernels[2:])
    assert grown["slope"] is tree["slope"]
    jax.tree.map(np.testing.assert_array_equal, collapse(grown), collapse(tree))


def test_a_new_kernel_learns_through_its_weight_first():
    basis = kernel_basis(3, size=2)(jax.random.key(0), 2, 2)
    grown = grow_basis(basis, jax.random.key(1), 1)
    grads = jax.grad(lambda b: jnp.sum(jnp.sin(b.collapse().kernel)))(grown)
    assert float(jnp.abs(grads.coefficients[2])) > 0
    np.testing.assert_array_equal(grads.kernels[2], jnp.zeros_like(grads.kernels[2]))


def test_padding_extends_moments_by_zeros():
    moments = _basis(0, 3)
    padded = pad_basis(({"mu": moments}, jnp.ones(())), 2)[0]["mu"]
    np.testing.assert_array_equal(padded.kernels[:3], moments.kernels)
    np.testing.assert_array_equal(padded.coefficients, [*moments.coefficients, 0, 0])
    assert not padded.kernels[3:].any()
    np.testing.assert_array_equal(padded.bias, moments.bias)


def test_a_tree_without_a_basis_and_no_kernels_are_refused():
    with pytest.raises(InputError, match="found no Basis term"):
        grow_basis({"term": Conv(jnp.ones((1, 1, 2, 2)))}, jax.random.key(0), 1)
    with pytest.raises(InputError, match="grow by 0 kernels"):
        grow_basis(_basis(0, 1), jax.random.key(0), 0)
