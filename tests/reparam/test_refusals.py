"""What terms, forms and modules refuse, in one sentence."""

import jax
import jax.numpy as jnp
import pytest
from laws import SHAPE, small

from sesr_jax.errors import InputError
from sesr_jax.reparam import (
    LinearConv,
    acnet,
    collapsible,
    dense,
    expandnet_ck,
    find_form,
    with_residual,
)


@pytest.mark.parametrize("mode", ["collapsed", "expanded"])
def test_a_module_refuses_what_its_kernels_cannot_convolve(mode):
    x = jnp.ones(SHAPE)
    module = LinearConv(4, small(3), mode)
    variables = module.init(jax.random.key(0), x)
    for dtype in (jnp.uint8, jnp.int32, bool):
        with pytest.raises(InputError, match=rf"an image of {jnp.dtype(dtype)}, .*x / 255"):
            module.apply(variables, x.astype(dtype))
    with pytest.raises(InputError, match="4 → 4 channels in a convolution of 3 → 4"):
        module.apply(variables, x[..., :3])
    with pytest.raises(InputError, match="4 → 4 channels in a convolution of 4 → 7"):
        module.clone(features=7).apply(variables, x)


def test_an_unknown_mode_is_named():
    with pytest.raises(InputError, match="'Expanded'"):
        LinearConv(4, dense(3), "Expanded").init(jax.random.key(0), jnp.ones(SHAPE))


def test_residual_needs_equal_channels():
    with pytest.raises(InputError, match="residual around 1 → 16"):
        collapsible(3, residual=True)(jax.random.key(0), 1, 16)


def test_a_residual_around_strides_is_refused():
    term = with_residual(dense(3, strides=(2, 2)))(jax.random.key(0), 2, 2)
    for run in (term.collapse, lambda: term.apply(jnp.zeros((1, 4, 4, 2)))):
        with pytest.raises(InputError, match="strides"):
            run()


def test_even_kernels_are_no_stack_of_3x3():
    with pytest.raises(InputError, match="4×3"):
        expandnet_ck((4, 3))


def test_an_unknown_form_is_named():
    assert find_form("acnet") is acnet
    with pytest.raises(InputError, match=r"'acnett'.*acnet"):
        find_form("acnett")
