"""Batch norms: as Flax computes them, constant where frozen, and averaged by pure functions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from sesr_jax.reparam import (
    BatchNorm,
    Concat,
    Conv,
    Grouped,
    Identity,
    LinearConv,
    Scale,
    Sequential,
    Sum,
    conv_bn,
    find_statistics,
    repvgg,
    with_batch_statistics,
    with_statistics,
)

_KEY = jax.random.key(0)
_X = jax.random.normal(_KEY, (4, 6, 5, 3))


def _norm(features: int) -> BatchNorm:
    scale, bias, mean, var = jax.random.uniform(_KEY, (4, features), minval=0.5)
    return BatchNorm(scale, bias, mean, var)


@pytest.mark.parametrize("train", [False, True])
def test_both_modes_are_those_of_flax(train):
    conv, norm = Conv(jax.random.normal(_KEY, (3, 3, 3, 2)), jnp.ones(2)), _norm(2)
    variables = {
        "params": {"scale": norm.scale, "bias": norm.bias},
        "batch_stats": {"mean": norm.mean, "var": norm.var},
    }
    module = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=norm.eps)
    want, after = module.apply(variables, conv.apply(_X), mutable=["batch_stats"])
    term = Sequential((conv, norm))
    settled = with_batch_statistics(term, _X) if train else term
    np.testing.assert_allclose(settled.collapse().apply(_X), want, atol=2e-5)
    if train:
        moved = optax.incremental_update(find_statistics(settled), find_statistics(term), 0.1)
        ((mean, var),) = moved.values()
        np.testing.assert_allclose(mean, after["batch_stats"]["mean"], rtol=1e-5)
        np.testing.assert_allclose(var, after["batch_stats"]["var"], rtol=1e-5)


def test_no_gradient_reaches_the_statistics_of_the_population():
    term = conv_bn(3)(_KEY, 3, 2)
    for run in (lambda t: t.apply(_X), lambda t: t.collapse().apply(_X)):
        grads = jax.grad(lambda t, run=run: jnp.sum(run(t) ** 2))(term).terms[1]
        assert not np.any(grads.mean)
        assert not np.any(grads.var)
        assert np.any(grads.scale)


def test_gradients_pass_through_the_statistics_of_a_batch():
    """Of a function that does not change with the kernel's size, the derivative along it is zero."""
    term = conv_bn(3)(_KEY, 3, 2)
    term = term.replace(terms=(term.terms[0], term.terms[1].replace(eps=0.0)))
    weights = jax.random.normal(_KEY, (4, 6, 5, 2))

    def loss(t, collapsed):
        settled = with_batch_statistics(t, _X)
        return jnp.sum(weights * (settled.collapse() if collapsed else settled).apply(_X))

    for collapsed in (False, True):
        grad, kernel = jax.grad(loss)(term, collapsed).terms[0].kernel, term.terms[0].kernel
        assert np.abs(grad).max() > 1
        along = jnp.einsum("hwio,hwio->o", grad, kernel)
        np.testing.assert_allclose(along, 0, atol=1e-4 * float(jnp.abs(grad).sum()))


def test_statistics_leave_out_what_lies_beyond_the_border():
    """A 1×1's bias in the extended margin of the next 3×3 would count as image, and does not."""
    first = Conv(jax.random.normal(_KEY, (1, 1, 3, 2)), 10 * jnp.ones(2), strides=(2, 1))
    term = Sequential((first, _norm(2), Conv(jax.random.normal(_KEY, (3, 3, 2, 2)))))
    ((mean, var),) = find_statistics(with_batch_statistics(term, _X)).values()
    np.testing.assert_allclose(mean, first.apply(_X).mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(var, first.apply(_X).var((0, 1, 2)), rtol=1e-4)


def test_every_composition_carries_what_reaches_its_norms():
    wide = Conv(jax.random.normal(_KEY, (3, 3, 3, 3)))
    branches = (Sequential((Scale(jnp.arange(1.0, 4.0)), _norm(3))), wide)
    norms = {
        "sum": Sum(branches),
        "concat": Concat(branches),
        "behind": Sequential((Sum(branches), wide)),
        "grouped": Grouped((Identity(1), Sequential((Scale(jnp.array([2.0, 3.0])), _norm(2))))),
    }
    for name, term in norms.items():
        ((mean, _),) = find_statistics(with_batch_statistics(term, _X)).values()
        want = (_X * jnp.arange(1.0, 4.0)).mean((0, 1, 2))
        np.testing.assert_allclose(mean, want[1:] if name == "grouped" else want, rtol=1e-5)


def test_statistics_are_taken_from_and_put_into_trees():
    tree = {"a": {"term": repvgg(3, batch_norm=True)(_KEY, 2, 2)}, "slope": jnp.ones(2)}
    held = find_statistics(tree)
    assert len(held) == 3
    moved = with_statistics(tree, jax.tree.map(lambda p: p + 1, held))
    for name, (mean, _) in find_statistics(moved).items():
        np.testing.assert_array_equal(mean, held[name][0] + 1)
    assert moved["slope"] is tree["slope"]
    assert find_statistics({"slope": jnp.ones(2)}) == {}


@pytest.mark.parametrize("mode", ["collapsed", "expanded"])
def test_a_module_gives_back_the_statistics_of_its_batch(mode):
    module = LinearConv(3, repvgg(3, batch_norm=True), mode)
    variables = module.init(_KEY, _X)
    assert variables.keys() == {"params"}
    term = variables["params"]["term"]
    y, seen = module.apply(variables, _X, mutable=["statistics"])
    settled = with_batch_statistics(term, _X)
    np.testing.assert_allclose(y, settled.apply(_X), atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, seen["statistics"]["term"], settled)
    np.testing.assert_allclose(module.apply(variables, _X), term.apply(_X), atol=1e-5)
    assert not LinearConv(3, repvgg(3)).apply(
        LinearConv(3, repvgg(3)).init(_KEY, _X), _X, mutable=["statistics"]
    )[1]
