"""Convolutions, whose weights a MAC array multiplies."""

import functools
import itertools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from sesr_jax.ops.registry import Padding, operation
from sesr_jax.ops.spec import Call, Looks, Spec, get_pixels_before, spread_window, window

# Sums no longer than this are added in an order that does not depend on the image's size by XLA's CPU
# backend. Float64 is the dtype of proofs: a tile must equal its part of the whole image to the last bit.
_ORDERED_TERMS = 400


def kernel_taps(call: Call) -> tuple[int, int]:
    """Returns the height and width of the kernel."""
    return call.shapes[1][0], call.shapes[1][1]


def _windows(call: Call) -> Looks:
    padding = get_pixels_before(call.attrs["padding"])
    spans = [
        (side - 1) * apart + 1
        for side, apart in zip(kernel_taps(call), call.attrs["dilation"], strict=True)
    ]
    down, right = map(window, spans, call.attrs["strides"], padding)
    return down, right


def _spread_windows(call: Call) -> Looks:
    cut = get_pixels_before(call.attrs["padding"])
    down, right = map(spread_window, kernel_taps(call), call.attrs["strides"], cut)
    return down, right


@operation(Spec(kind="convolution", look=_windows, taps=kernel_taps, before_relu=True))
def conv2d(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: Padding = "SAME",
    groups: int = 1,
    dilation: tuple[int, int] = (1, 1),
) -> jax.Array:
    """Returns the cross-correlation of ``[N, H, W, in]`` with ``[kh, kw, in / groups, out]``, plus ``[out]``.

    `dilation` is the distance of the kernel's taps in pixels.
    """
    correlate = functools.partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    channels = _ORDERED_TERMS // math.prod(kernel.shape[:2])
    if x.dtype == jnp.float64 and groups == 1 and kernel.shape[2] > channels > 0:
        starts = list(range(channels, kernel.shape[2], channels))
        parts = zip(jnp.split(x, starts, -1), jnp.split(kernel, starts, 2), strict=True)
        y = functools.reduce(jnp.add, itertools.starmap(correlate, parts))
    else:
        y = correlate(x, kernel)
    return y if bias is None else y + bias


@operation(Spec(kind="convolution", look=_spread_windows, taps=kernel_taps, before_relu=True))
def conv2d_transpose(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: tuple[int, int],
    padding: Literal["SAME", "VALID"] = "SAME",
) -> jax.Array:
    """Returns the transposed convolution with TensorFlow's padding.

    The input's map with zeros inserted is correlated with `kernel`, ``[kh, kw, in, out]``. "SAME" returns
    ``[N, H·s, W·s, out]``. "VALID" returns all that a pixel reaches, ``(H - 1)·s + k`` rows where the kernel
    is not smaller than the stride. PyTorch's `padding` p and `output_padding` q are the latter with p rows
    cropped before, and p - q after (`crop`).
    """
    return lax.conv_transpose(
        x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    ) + (0 if bias is None else bias)
