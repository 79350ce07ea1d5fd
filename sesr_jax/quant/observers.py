"""Observers, which find the range that suits the values of a tensor.

    low, high = OBSERVERS["percentile"].measure(y)

An observer measures a batch of values as a whole. Over many batches its measures are merged, or averaged as
training goes on (`sesr_jax.train`). A measure need not hold 0; the caller widens it to a range that does.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

_SAMPLE = 1 << 16
_TAIL = 1e-4
_SHARES = 33


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observer:
    """One way to find a range.

    Attributes:
      measure: a function from ``[N, H, W, C]`` to ``[2]``, the smallest and the largest value of the range.
      union: whether several measures merge into the range that holds them all, and not into their mean.
    """

    measure: Callable[[jax.Array], jax.Array]
    union: bool = False


def min_max(y: jax.Array) -> jax.Array:
    """Returns the extremes, so that nothing saturates."""
    return jnp.stack([y.min(), y.max()])


def percentile(y: jax.Array) -> jax.Array:
    """Returns the range of all but the outermost 0.01 % of the values on each side."""
    return jnp.quantile(_sample(y), jnp.asarray([_TAIL, 1 - _TAIL], y.dtype))


def least_squares(y: jax.Array) -> jax.Array:
    """Returns the share of the extremes, out of 33 from 0.2 to 1, whose 8-bit codes err least.

    The error is the mean square, which weighs values that saturate against finer steps (Nahshan et al. 2019,
    "LAPQ", for p = 2; Banner et al. 2019 for a given distribution).
    """
    values = _sample(y)
    extremes = jnp.stack([jnp.minimum(values.min(), 0), jnp.maximum(values.max(), 0)])

    def error(share: jax.Array) -> jax.Array:
        low, high = share * extremes
        step = jnp.maximum(high - low, jnp.finfo(y.dtype).tiny) / 255
        codes = jnp.round(jnp.clip(values, low, high) / step)
        return jnp.mean((codes * step - values) ** 2)

    shares = jnp.linspace(0.2, 1.0, _SHARES, dtype=y.dtype)
    return shares[jnp.argmin(jax.lax.map(error, shares))] * extremes


def _sample(y: jax.Array) -> jax.Array:
    """Returns about 65,536 values of `y`, of all channels, from a grid of positions."""
    every = math.ceil(math.sqrt(max(1, y.size / _SAMPLE)))
    return y[:, ::every, ::every].reshape(-1) if y.ndim == 4 else y.reshape(-1)


OBSERVERS: dict[str, Observer] = {
    "min_max": Observer(measure=min_max, union=True),
    "percentile": Observer(measure=percentile),
    "mse": Observer(measure=least_squares),
}
"""By the name that configs and the command line use."""
