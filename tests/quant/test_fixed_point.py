"""Fixed-point multiplication against arithmetic on whole integers."""

import fractions
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesr_jax.quant.fixed_point import (
    doubling_high_product,
    multiplier,
    multiply,
    rounding_shift,
)

SMALLEST, LARGEST = -(2**31), 2**31 - 1
edges = [0, 1, 2**14, 2**15, 2**16 - 1, 2**16, 2**30 - 1, 2**30, 2**30 + 1, LARGEST]
int32 = st.sampled_from([*edges, *(-x for x in edges), SMALLEST]) | st.integers(SMALLEST, LARGEST)
significands = st.sampled_from(edges) | st.integers(0, LARGEST)


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


@settings(deadline=None)  # the first call compiles
@given(x=int32, m=significands)
def test_the_high_product_is_rounded_with_ties_upwards(x: int, m: int) -> None:
    assert int(doubling_high_product(array(x), array(m))[0]) == (x * m + 2**30) // 2**31


@settings(deadline=None)  # the first call compiles
@given(x=int32, exponent=st.integers(0, 31))
def test_a_shift_is_rounded_with_ties_away_from_zero(x: int, exponent: int) -> None:
    nearest = math.floor(fractions.Fraction(abs(x), 2**exponent) + fractions.Fraction(1, 2))
    assert int(rounding_shift(array(x), array(exponent))[0]) == int(math.copysign(nearest, x))


@settings(deadline=None)  # the first call compiles
@given(factor=st.floats(2.0**-31, 2.0**30))
def test_a_multiplier_is_the_nearest(factor: float) -> None:
    found = multiplier(factor)
    assert 2**30 <= found.significand <= LARGEST
    assert abs(float(found.significand) * 2.0 ** (int(found.shift) - 31) / factor - 1) <= 2.0**-31


@pytest.mark.parametrize("factor", [0.0, 2.0**-33, 1e-300])
def test_a_multiplier_too_small_is_zero(factor: float) -> None:
    assert (multiplier(factor).significand, multiplier(factor).shift) == (0, 0)


@pytest.mark.parametrize("x64", [False, True])
@settings(deadline=None)  # the first call compiles
@given(x=st.integers(-(2**20), 2**20), factor=st.floats(2.0**-20, 2.0**10))
def test_a_product_is_within_its_two_roundings_of_the_real_one(
    x64: bool, x: int, factor: float
) -> None:
    with jax.enable_x64(x64):
        y = multiply(array(x), multiplier(factor))
        assert y.dtype == np.int32
    # Half of the result's unit, and half of a finer one.
    assert abs(int(y[0]) - x * factor) <= 1 + abs(x * factor) * 2.0**-31


def test_each_channel_has_its_own_factor() -> None:
    x = np.arange(-300, 300, dtype=np.int32).reshape(-1, 3) * 1000
    factors = np.array([1.5, 0.01, 3e-4])
    together = multiply(x, multiplier(factors))
    alone = [multiply(x[:, i], multiplier(factor)) for i, factor in enumerate(factors)]
    np.testing.assert_array_equal(together, np.stack(alone, axis=-1))
