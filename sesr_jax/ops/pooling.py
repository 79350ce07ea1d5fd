"""Windows and whole images reduced to one value: pooling and statistics."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from sesr_jax.ops.registry import operation
from sesr_jax.ops.spec import (
    Call,
    Looks,
    Spec,
    at_its_own_pixel,
    at_the_whole_image,
    befores,
    window,
)


def _window(call: Call) -> tuple[int, int]:
    height, width = call.attrs["window"]
    return height, width


def _windows(call: Call) -> Looks:
    down, right = map(
        window, call.attrs["window"], call.attrs["strides"], befores(call.attrs["padding"])
    )
    return down, right


def _along_axes(call: Call) -> Looks:
    alone = {axis % 4 for axis in call.attrs["axes"]} <= {3}
    return at_its_own_pixel(call) if alone else at_the_whole_image(call)


@operation(Spec(kind="pooling", look=_windows, taps=_window, ranges="shared"))
def average_pool(
    x: jax.Array,
    *,
    window: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: Literal["SAME", "VALID"] = "VALID",
) -> jax.Array:
    """The mean of each window's pixels, without those that "SAME" pads (``count_include_pad=False``)."""

    def total(values: jax.Array) -> jax.Array:
        return lax.reduce_window(values, 0.0, lax.add, (1, *window, 1), (1, *strides, 1), padding)

    return total(x) / total(jnp.ones((1, *x.shape[1:3], 1), x.dtype))


@operation(Spec(kind="pooling", look=_windows, taps=_window, ranges="shared"))
def max_pool(
    x: jax.Array,
    *,
    window: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: Literal["SAME", "VALID"] = "VALID",
) -> jax.Array:
    """The largest value in each window."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), padding)


@operation(Spec(kind="statistics", look=_along_axes))
def mean(x: jax.Array, *, axes: tuple[int, ...] = (1, 2)) -> jax.Array:
    """The mean over `axes`, which stay as dimensions of length 1."""
    return jnp.mean(x, axis=axes, keepdims=True)
