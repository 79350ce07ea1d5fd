"""Observers: what each makes of the same values."""

import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.quant import OBSERVERS, fake

RNG = np.random.default_rng(0)


def _outliers() -> jnp.ndarray:
    y = RNG.normal(size=(1, 64, 64, 3))
    y[0, 0, 0] = [-60, 50, 70]
    return jnp.asarray(y, jnp.float32)


def test_extremes_hold_everything():
    assert OBSERVERS["min_max"].measure(_outliers()).tolist() == [-60, 70]


def test_a_percentile_gives_outliers_up():
    low, high = OBSERVERS["percentile"].measure(_outliers())
    assert -50 < low < -2
    assert 2 < high < 60


def test_least_squares_errs_least():
    y = jnp.asarray(RNG.standard_t(2, size=(1, 64, 64, 3)), jnp.float32)
    errors = {
        name: float(((fake.quantise(y, *observer.measure(y)) - y) ** 2).mean())
        for name, observer in OBSERVERS.items()
    }
    assert errors["mse"] < min(errors["min_max"], errors["percentile"])


@pytest.mark.parametrize("name", OBSERVERS)
def test_all_channels_of_a_large_tensor_are_seen(name):
    y = np.zeros((4, 200, 200, 3), np.float32)
    y[..., 2] = 1
    low, high = OBSERVERS[name].measure(jnp.asarray(y))
    assert low == 0
    assert high == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", OBSERVERS)
def test_a_range_for_a_tensor_that_is_always_zero_is_empty(name):
    assert not OBSERVERS[name].measure(jnp.zeros((1, 4, 4, 1))).any()
