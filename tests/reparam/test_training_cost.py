"""Costs counted on jaxprs against the formulas of SESR's paper and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.models import create
from sesr_jax.reparam import FORMS, Conv, LinearConv, collapse
from sesr_jax.reparam.cost import (
    count_training_cost,
    macs,
    make_photo_noise,
    measure_output_difference,
    pulse_response,
)

_forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
_PIXELS = 32 * 64 * 64
# Of SESR: features f, blocks m, expansion p (Bhardwaj et al. 2022, §5.1).
_SIZES = {"sesr_m5": (16, 5, 256), "sesr_m11": (16, 11, 64), "sesr_xl": (32, 11, 64)}


def _shapes(name: str, scale: int):
    module = create(name, scale=scale)
    return module, jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))


def _blocks(name: str, scale: int) -> list[tuple[int, int, int]]:
    """(kernel's side, channels in, channels out) of every block."""
    f, m, _ = _SIZES[name]
    return [(5, 1, f), *[(3, f, f)] * m, (5, f, scale**2)]


@pytest.mark.parametrize("name", _SIZES)
@pytest.mark.parametrize("scale", [2, 4])
def test_sesr_costs_what_its_formulas_say(name, scale):
    p = _SIZES[name][2]
    blocks = _blocks(name, scale)
    expanded = sum(k * k * i * p + p * o for k, i, o in blocks)
    collapsed = sum(k * k * i * o for k, i, o in blocks)
    # A pulse a channel: the k×k makes k×k positions of p channels, and the 1×1 follows it there.
    delta = sum(i * k * k * (k * k * i * p + p * o) for k, i, o in blocks)
    # Kernel times kernel, and the bias through the 1×1.
    composed = sum(k * k * i * p * o + p * o for k, i, o in blocks)

    spent = count_training_cost(*_shapes(name, scale), (32, 64, 64, 1))
    assert (spent.expanded.weights, spent.expanded.macs) == (expanded, expanded * _PIXELS)
    assert (spent.collapsed.weights, spent.collapsed.macs) == (collapsed, collapsed * _PIXELS)
    assert (spent.delta_collapse, spent.collapse) == (delta, composed)


def test_sesr_m5_trains_at_the_published_cost():
    """The README of the paper's code: 41.77 billion against 1.84 billion a forward pass."""
    spent = count_training_cost(*_shapes("sesr_m5", 2), (32, 64, 64, 1))
    assert int(spent.expanded.macs / 1e7) / 100 == 41.77
    assert round((spent.collapsed.macs + spent.delta_collapse) / 1e9, 2) == 1.84


@_forms
def test_the_collapsed_training_pass_is_the_convolution_and_the_collapse(form):
    module = LinearConv(8, form(3))
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8, 8, 8)))
    spent = count_training_cost(module, variables, (2, 8, 8, 8))
    whole = macs(module.apply, variables, jnp.zeros((2, 8, 8, 8)))
    assert whole == spent.collapsed.macs + spent.collapse
    assert spent.collapsed.macs == spent.collapsed.weights * 2 * 8 * 8


@pytest.mark.parametrize("form", [FORMS[name] for name in ("collapsible", "acnet_bn", "ecb")])
def test_the_pulse_response_is_the_kernel_turned(form):
    """Algorithm 1 of SESR, which is exact once the answer to no pulse is subtracted."""

    @jax.jit
    def both(key):
        term = form(3)(key, 4, 4)
        conv = term.collapse()
        return pulse_response(term) - (0 if conv.bias is None else conv.bias), conv.kernel

    response, kernel = both(jax.random.key(0))
    np.testing.assert_allclose(response[:, ::-1, ::-1].transpose(1, 2, 0, 3), kernel, atol=1e-5)


@pytest.mark.parametrize("form", ["collapsible", "dbb"])
def test_outputs_differ_by_rounding_alone(form):
    module = LinearConv(4, FORMS[form](3))
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 4)))
    difference, largest = measure_output_difference(module, variables, (1, 16, 16, 4))
    assert difference < 1e-5 * largest


def test_a_lost_bias_shows_in_the_difference(monkeypatch):
    """A collapse that drops the biases is found out, though fresh biases are zero."""
    module = LinearConv(4, FORMS["collapsible"](3))
    variables = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 4)))

    def wrong(tree):
        return jax.tree.map(
            lambda c: c.replace(bias=None), collapse(tree), is_leaf=lambda x: isinstance(x, Conv)
        )

    monkeypatch.setattr("sesr_jax.reparam.cost.collapse", wrong)
    assert measure_output_difference(module, variables, (1, 16, 16, 4))[0] > 1e-2


def test_macs_of_products_convolutions_and_what_repeats_them():
    a, b = jnp.zeros((5, 3)), jnp.zeros((3, 7))
    assert macs(jnp.matmul, a, b) == 5 * 3 * 7
    assert macs(jax.jit(lambda a, b: jnp.sum(a @ b) + 1), a, b) == 5 * 3 * 7

    def repeated(a):
        return jax.lax.scan(lambda x, _: (x @ x, None), a, None, length=4)[0]

    assert macs(repeated, jnp.zeros((3, 3))) == 4 * 27

    def grouped(x, k):
        return jax.lax.conv_general_dilated(
            x, k, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=2
        )

    assert macs(grouped, jnp.zeros((1, 8, 8, 4)), jnp.zeros((3, 3, 2, 6))) == 4 * 4 * 6 * 9 * 2
    with pytest.raises(InputError, match="while"):
        macs(lambda x: jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: x + 1, x), a)


def test_photo_like_images_have_a_photos_spectrum():
    image = make_photo_noise((1, 128, 128, 1))[0, :, :, 0]
    assert image.dtype == np.float32
    assert (image.min(), image.max()) == (0, 1)
    power = np.abs(np.fft.rfft(image - image.mean(), axis=1)).mean(0)
    slope = np.polyfit(np.log(np.arange(2, 40)), np.log(power[2:40]), 1)[0]
    assert -1.3 < slope < -0.3
