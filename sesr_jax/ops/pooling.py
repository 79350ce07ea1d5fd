"""Windows and whole images reduced to one value: pooling and statistics."""

import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from sesr_jax.errors import InputError
from sesr_jax.ops.pointwise import mul, sqrt, sub
from sesr_jax.ops.registry import operation
from sesr_jax.ops.spec import (
    Call,
    Looks,
    Spec,
    at_its_own_pixel,
    at_the_whole_image,
    get_pixels_before,
    window,
)


def _window(call: Call) -> tuple[int, int]:
    height, width = call.attrs["window"]
    return height, width


def _windows(call: Call) -> Looks:
    down, right = map(
        window,
        call.attrs["window"],
        call.attrs["strides"],
        get_pixels_before(call.attrs["padding"]),
    )
    return down, right


def _along_axes(call: Call) -> Looks:
    alone = {axis % 4 for axis in call.attrs["axes"]} <= {3}
    return at_its_own_pixel(call) if alone else at_the_whole_image(call)


def _check_size(x: jax.Array, window: tuple[int, int], padding: str) -> None:
    if padding == "VALID" and any(n < k for n, k in zip(x.shape[1:3], window, strict=True)):
        raise InputError(
            f"a map of {x.shape[1]}×{x.shape[2]} (height × width) has no room for a pooling window of "
            f"{window[0]}×{window[1]}: the network needs a larger image."
        )


@operation(Spec(kind="pooling", look=_windows, taps=_window, ranges="shared"))
def average_pool(
    x: jax.Array,
    *,
    window: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: Literal["SAME", "VALID"] = "VALID",
) -> jax.Array:
    """Returns the mean of each window's pixels; padded ones do not count (``count_include_pad=False``).

    Raises:
      InputError: with the padding "VALID", the image is smaller than the window.
    """
    _check_size(x, window, padding)

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
    """Returns the largest value in each window.

    Raises:
      InputError: with the padding "VALID", the image is smaller than the window.
    """
    _check_size(x, window, padding)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), padding)


@operation(Spec(kind="statistics", look=_along_axes))
def mean(x: jax.Array, *, axes: tuple[int, ...] = (1, 2)) -> jax.Array:
    """Returns the mean over `axes`, which stay as dimensions of length 1."""
    return jnp.mean(x, axis=axes, keepdims=True)


@operation(
    Spec(
        kind="pointwise",
        look=_along_axes,
        values=1,
        layer="mul",
        no_int16="MUL with 16 bits reads no constant",
    )
)
def unbias(variance: jax.Array, like: jax.Array, *, axes: tuple[int, ...] = (1, 2)) -> jax.Array:
    """Multiplies by n / (n - 1), Bessel's correction, where `like` has n elements along `axes`.

    Raises:
      InputError: n is 1.
    """
    return variance * bessel_factor(like.shape, axes)


def bessel_factor(shape: Sequence[int], axes: tuple[int, ...]) -> float:
    """Returns n / (n - 1) for the n elements along `axes` of an array of `shape`.

    Raises:
      InputError: n is 1.
    """
    count = math.prod(shape[axis] for axis in axes)
    if count < 2:
        raise InputError(f"{count} element has no unbiased variance: it takes two along {axes}.")
    return count / (count - 1)


def variance(x: jax.Array, *, axes: tuple[int, ...] = (1, 2), unbiased: bool = False) -> jax.Array:
    """Returns the variance over `axes`, which stay as dimensions of length 1.

    It is made of several operations, each with a range of its own in an INT8 file. PyTorch's `var` and `std`
    are unbiased unless told otherwise; NumPy's are not.
    """
    return _measure_variance(x, mean(x, axes=axes), axes, unbiased)


def standard_deviation(
    x: jax.Array, *, axes: tuple[int, ...] = (1, 2), unbiased: bool = False
) -> jax.Array:
    """Returns the square root of `variance`."""
    return sqrt(variance(x, axes=axes, unbiased=unbiased))


def mean_and_deviation(
    x: jax.Array, *, axes: tuple[int, ...] = (1, 2), unbiased: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Returns the mean and the standard deviation, with one `mean` for both.

    A network that needs both must take them from here. TensorFlow's converter joins equal operators though
    their outputs have different ranges, and the one that is left is then float.
    """
    center = mean(x, axes=axes)
    return center, sqrt(_measure_variance(x, center, axes, unbiased))


def _measure_variance(
    x: jax.Array, center: jax.Array, axes: tuple[int, ...], unbiased: bool
) -> jax.Array:
    distance = sub(x, center)
    biased = mean(mul(distance, distance), axes=axes)
    return unbias(biased, x, axes=axes) if unbiased else biased
