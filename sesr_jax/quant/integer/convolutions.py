"""Convolutions of codes: sums of products in int32, and one multiplication per output channel."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sesr_jax.graph import Node
from sesr_jax.quant.integer.tensor import Affine, Tensor, rescale
from sesr_jax.quant.weight_codes import LARGEST_BIAS, LARGEST_CODE, kernel_scale, round_to_codes


def _convolve(
    to: Affine, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None, **attrs: Any
) -> jax.Array:
    added = np.zeros(kernel.shape[-1]) if bias is None else bias.astype(np.float64)
    scale = kernel_scale(kernel, added, x.affine.scale)
    weights = Affine(scale=scale)
    sums = lax.conv_general_dilated(
        x.offset,
        jnp.asarray(round_to_codes(kernel / scale, -LARGEST_CODE, LARGEST_CODE)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        **attrs,
    )
    biases = round_to_codes(added / (x.affine.scale * scale), -LARGEST_BIAS, LARGEST_BIAS)
    return rescale(sums + biases, x.affine.double * weights.double / to.double, to)


def conv2d(
    node: Node, to: Affine, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None = None
) -> jax.Array:
    """Convolves; the padding is the zero point."""
    attrs = node.attrs
    return _convolve(
        to,
        x,
        kernel,
        bias,
        window_strides=attrs["strides"],
        padding=attrs["padding"],
        feature_group_count=attrs["groups"],
        rhs_dilation=attrs["dilation"],
    )


def conv2d_transpose(
    node: Node, to: Affine, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None = None
) -> jax.Array:
    """Convolves the map with zeros inserted between its pixels, padded to the output's size."""
    strides = node.attrs["strides"]
    padding = []
    for size, stride in zip(kernel.shape[:2], strides, strict=True):
        extra = max(size - stride, 0)  # rows beyond `stride` times the input's
        before = size - 1
        after = stride - 1 + extra
        if node.attrs["padding"] == "SAME":
            before, after = before - extra // 2, after - (extra - extra // 2)
        padding.append((before, after))
    return _convolve(
        to, x, kernel, bias, window_strides=(1, 1), padding=padding, lhs_dilation=strides
    )
