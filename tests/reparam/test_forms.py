"""Every form of the table obeys the law, inside a module and out; a new form is one more line."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.reparam import (
    FORMS,
    Conv,
    LinearConv,
    acnet,
    collapse,
    collapsible,
    dense,
    kernel_basis,
    repvgg,
    with_residual,
)

TABLE = {
    "dense": dense(3),
    "dense 3×5": dense((3, 5)),
    "collapsible": collapsible(3, expansion=8),
    "collapsible 5×5": collapsible(5, expansion=8),
    "collapsible 3×1": collapsible((3, 1), expansion=8),
    "collapsible, residual": collapsible(3, expansion=8, residual=True),
    "acnet": acnet(3),
    "acnet 5": acnet(5),
    "repvgg": repvgg(3),
    "kernel_basis": kernel_basis(3, size=3),
    "kernel_basis, residual": with_residual(kernel_basis(3, size=2)),
}

forms = pytest.mark.parametrize("form", TABLE.values(), ids=TABLE.keys())


def _randomised(tree, seed: int = 0):
    """Biases start at zero and would hide mistakes: every parameter becomes a small random integer."""
    leaves, structure = jax.tree.flatten(tree)
    rng = np.random.default_rng(seed)
    return structure.unflatten([jnp.asarray(rng.integers(-2, 3, p.shape), p.dtype) for p in leaves])


def test_every_named_form_is_in_the_table():
    assert {name.split()[0].rstrip(",") for name in TABLE} == set(FORMS)


@forms
def test_law(form):
    term = _randomised(form(jax.random.key(0), 4, 4))
    x = _randomised(jnp.zeros((2, 9, 7, 4)), seed=1)
    np.testing.assert_array_equal(term.collapse().apply(x), term.apply(x))


@forms
def test_module_runs_expanded_and_collapsed_parameters(form):
    module = LinearConv(4, form)
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 4))
    variables = _randomised(module.init(jax.random.key(0), x))
    deployed = collapse(variables)
    assert isinstance(deployed["params"]["term"], Conv)
    y = module.apply(variables, x)
    np.testing.assert_array_equal(module.apply(deployed, x), y)
    tolerance = 1e-5 * float(jnp.abs(y).max())
    np.testing.assert_allclose(
        LinearConv(4, form, "expanded").apply(variables, x), y, atol=tolerance
    )


@forms
def test_gradients_of_both_modes_agree(form):
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 4))
    variables = LinearConv(4, form).init(jax.random.key(0), x)

    def loss(mode, v):
        return jnp.sum(jnp.square(LinearConv(4, form, mode).apply(v, x)))

    collapsed, expanded = (
        jax.grad(functools.partial(loss, m))(variables) for m in ("collapsed", "expanded")
    )
    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(expanded))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * largest), collapsed, expanded
    )


@forms
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_module_computes_in_the_dtype_of_its_input(form, dtype):
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 4), dtype)
    variables = LinearConv(4, form).init(jax.random.key(0), x)
    assert LinearConv(4, form).apply(variables, x).dtype == dtype
    assert LinearConv(4, form, "expanded").apply(variables, x).dtype == dtype
    assert {p.dtype for p in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_residual_needs_equal_channels():
    with pytest.raises(InputError, match="residual around 1 → 16"):
        collapsible(3, residual=True)(jax.random.key(0), 1, 16)


def test_residual_starts_near_the_identity_for_small_kernels():
    term = jax.tree.map(jnp.zeros_like, with_residual(dense(3))(jax.random.key(0), 2, 2))
    x = jax.random.normal(jax.random.key(1), (1, 5, 5, 2))
    np.testing.assert_array_equal(term.collapse().apply(x), x)


def test_glorot_keeps_the_parameters_in_range():
    kernel = dense(3)(jax.random.key(0), 16, 16).collapse().kernel
    limit = (6 / (9 * 16 + 9 * 16)) ** 0.5
    assert float(jnp.abs(kernel).max()) <= limit
    assert float(jnp.abs(kernel).max()) > 0.9 * limit
