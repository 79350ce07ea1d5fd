"""Schemes, and the codes of a range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesr_jax.errors import InputError
from sesr_jax.quant import Scheme, affine

ends = st.floats(min_value=2.0**-10, max_value=2.0**10, width=32)


def test_patterns_exclude_nodes():
    scheme = Scheme(exclude=("tail/*", "add"))
    excluded = [scheme.excludes(name) for name in ("tail/conv2d", "add", "add_2", "head/conv2d")]
    assert excluded == [True, True, False, False]


def test_other_activations_are_refused():
    with pytest.raises(InputError, match="'int4'"):
        Scheme(activations="int4")


@given(low=ends | st.just(0.0), high=ends)
def test_codes_hold_zero_and_reach_both_ends_within_half_a_code(low: float, high: float) -> None:
    scale, zero_point = affine(-low, high)
    assert -128 <= zero_point <= 127
    reached = scale * (np.array([-128, 127]) - zero_point)
    np.testing.assert_allclose(reached, [-low, high], atol=scale * 0.5001)


def test_the_image_s_codes_are_its_pixels() -> None:
    scale, zero_point = affine(0.0, 1.0)
    codes = np.arange(256) - 128
    np.testing.assert_allclose(scale * (codes - zero_point) * 255, np.arange(256), rtol=1e-6)


def test_int16_codes_are_symmetric():
    scale, zero_point = affine(-3.0, 1.0, "int16")
    assert zero_point == 0
    assert scale * 32767 == pytest.approx(3.0)
