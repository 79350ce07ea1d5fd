"""Layers that several families share.

`reparam.LinearConv` is a convolution that trains a term. Grouped, strided and transposed convolutions have no
term and are layers of this file: modules (`Conv`, `ConvTranspose`), or functions (`conv`, `conv_transpose`)
for a module that owns the parameters itself, beside others.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.reparam import (
    LinearConv,
    Term,
    dense,
    find_statistics,
    make_batch_norm,
    with_batch_statistics,
)
from sesr_jax.reparam.linear_conv import Mode

Start = Callable[..., Any]
"""An initialiser of `flax.linen.initializers`."""

DIV2K_MEAN = np.array([0.4488, 0.4371, 0.4040], np.float32)
"""The mean of DIV2K's R, G and B, which networks on RGB take off their input."""

_GLOROT = nn.initializers.glorot_uniform()


def conv(
    owner: nn.Module,
    x: jax.Array,
    features: int,
    size: int,
    *,
    groups: int = 1,
    stride: int = 1,
    padding: ops.Padding = "SAME",
    dilation: int = 1,
    start: Start = _GLOROT,
    biased: bool = True,
    names: tuple[str, str] = ("kernel", "bias"),
) -> jax.Array:
    """Convolves ``[N, H, W, C]`` by a plain kernel that is a parameter of `owner`, and adds a bias.

    A grouped kernel is not a term, since a term would collapse to a dense kernel.

    Args:
      owner: the module that calls it, in its compact method.
      x: the input.
      features: output channels.
      size: the side of the kernel.
      groups: into which input and output channels are divided.
      stride: in both directions.
      padding: as in `ops.conv2d`.
      dilation: the distance of the kernel's taps in pixels.
      start: initialises the kernel ``[size, size, C / groups, features]``; the bias starts at zero.
      biased: whether there is a bias.
      names: of the two parameters.
    """
    shape = (size, size, x.shape[-1] // groups, features)
    kernel, bias = _make_parameters(owner, x, shape, start, biased, names)
    return ops.conv2d(
        x,
        kernel,
        bias,
        strides=(stride, stride),
        padding=padding,
        groups=groups,
        dilation=(dilation, dilation),
    )


def conv_transpose(
    owner: nn.Module,
    x: jax.Array,
    features: int,
    size: int,
    *,
    stride: int,
    start: Start = _GLOROT,
    biased: bool = True,
    names: tuple[str, str] = ("kernel", "bias"),
) -> jax.Array:
    """Returns the transposed convolution ``[N, H, W, C] → [N, stride · H, stride · W, features]`` of `x`.

    Args:
      owner: the module that calls it, in its compact method.
      x: the input.
      features: output channels.
      size: the side of the kernel.
      stride: in both directions.
      start: initialises the kernel ``[size, size, C, features]``; the bias starts at zero.
      biased: whether there is a bias.
      names: of the two parameters.
    """
    shape = (size, size, x.shape[-1], features)
    kernel, bias = _make_parameters(owner, x, shape, start, biased, names)
    return ops.conv2d_transpose(x, kernel, bias, strides=(stride, stride))


def _make_parameters(
    owner: nn.Module,
    x: jax.Array,
    shape: tuple[int, ...],
    start: Start,
    biased: bool,
    names: tuple[str, str],
) -> tuple[jax.Array, jax.Array | None]:
    """Makes a kernel and, where it is wanted, a bias of `owner`, in the dtype of `x`."""
    kernel = owner.param(names[0], start, shape).astype(x.dtype)
    if not biased:
        return kernel, None
    return kernel, owner.param(names[1], nn.initializers.zeros_init(), shape[-1:]).astype(x.dtype)


class Conv(nn.Module):
    """A convolution with parameters of its own; the fields are arguments of `conv`."""

    features: int
    size: int
    groups: int = 1
    stride: int = 1
    padding: ops.Padding = "SAME"
    dilation: int = 1
    start: Start = _GLOROT
    biased: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves ``[N, H, W, C] → [N, ⌈H / stride⌉, ⌈W / stride⌉, features]`` (with padding "SAME")."""
        return conv(
            self,
            x,
            self.features,
            self.size,
            groups=self.groups,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            start=self.start,
            biased=self.biased,
        )


class ConvTranspose(nn.Module):
    """A transposed convolution with parameters of its own; the fields are arguments of `conv_transpose`."""

    features: int
    size: int
    stride: int
    start: Start = _GLOROT
    biased: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Computes ``[N, H, W, C] → [N, stride · H, stride · W, features]``."""
        return conv_transpose(
            self,
            x,
            self.features,
            self.size,
            stride=self.stride,
            start=self.start,
            biased=self.biased,
        )


class PReLU(nn.Module):
    """A rectifier with one trained slope per channel (He et al. 2015), as SESR and FSRCNN use it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return ops.prelu(x, slope.astype(x.dtype))


class BatchNormLayer(nn.Module):
    """A batch norm that no convolution takes in, such as one before an activation (MemNet, Tai et al. 2017).

    Its parameter is the term `reparam.BatchNorm`, so that batches' statistics are followed and frozen as they
    are in `LinearConv`. It is deployed as one scale and one shift per channel.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        if self.has_variable("params", "term"):  # perhaps collapsed, which has other shapes
            term: Term = self.get_variable("params", "term")
        else:
            term = self.param("term", lambda _: make_batch_norm(x.shape[-1]))
        follows = self.is_mutable_collection("statistics") and not self.is_initializing()
        if follows and find_statistics(term):
            term = with_batch_statistics(term, x.astype(jnp.promote_types(jnp.float32, x.dtype)))
            self.put_variable("statistics", "term", term)
        conv = term.collapse()  # a 1×1 of a diagonal matrix, and a bias
        y = ops.mul(x, jnp.diagonal(conv.kernel[0, 0]).astype(x.dtype))
        return y if conv.bias is None else ops.add(y, conv.bias.astype(x.dtype))


class ResidualBlock(nn.Module):
    """EDSR's block (Lim et al. 2017): 3×3, ReLU, 3×3, plus the input; `mode` as in `LinearConv`."""

    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        linear = functools.partial(LinearConv, x.shape[-1], dense(3), self.mode)
        return ops.add(x, linear(name="second")(ops.relu(linear(name="first")(x))))


class ChannelAttention(nn.Module):
    """Scales each channel by a gate in (0, 1), read from a statistic of all (Hu et al. 2018, §3).

    Attributes:
      squeezed: the channels between the two 1×1 convolutions that make a gate of the statistic.
      statistic: ``[N, H, W, C] → [N, 1, 1, C]``, such as `ops.mean` or `contrast`.
    """

    squeezed: int
    statistic: Callable[[jax.Array], jax.Array] = ops.mean

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        y = ops.relu(Conv(self.squeezed, 1, name="squeeze")(self.statistic(x)))
        return ops.mul(x, ops.sigmoid(Conv(x.shape[-1], 1, name="excite")(y)))


class PixelAttention(nn.Module):
    """Scales each element by a gate in (0, 1), from a 1×1 convolution (PAN, Zhao et al. 2020, §3.2)."""

    @nn.compact
    def __call__(self, x: jax.Array, values: jax.Array | None = None) -> jax.Array:
        """Returns `values`, by default `x`, scaled by the gate of `x`; all are ``[N, H, W, C]``."""
        values = x if values is None else values
        return ops.mul(values, ops.sigmoid(Conv(values.shape[-1], 1, name="gate")(x)))


class SpatialAttention(nn.Module):
    """Enhanced spatial attention, ESA: scales each element by a gate in (0, 1) (RFANet, Liu et al. 2020).

    The gate comes from a map of a sixth of the image's height and width, which is resized back, so that the
    layer looks at the whole image. The image must have 15×15 pixels or more.

    Attributes:
      squeezed: the channels inside.
      convolutions: the 3×3s on the small map, with ReLUs between them: 3 in RFDN, 1 in RLFN.
    """

    squeezed: int
    convolutions: int = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        narrow = Conv(self.squeezed, 1, name="squeeze")(x)
        y = Conv(self.squeezed, 3, stride=2, padding="VALID", name="reduce")(narrow)
        y = ops.max_pool(y, window=(7, 7), strides=(3, 3))
        for i in range(self.convolutions):
            y = Conv(self.squeezed, 3, name=f"conv_{i}")(ops.relu(y) if i else y)
        shortcut = Conv(self.squeezed, 1, name="shortcut")(narrow)
        y = ops.add(ops.resize_like(y, x), shortcut)
        return ops.mul(x, ops.sigmoid(Conv(x.shape[-1], 1, name="excite")(y)))


def contrast(x: jax.Array) -> jax.Array:
    """Returns standard deviation plus mean per channel, ``[N, 1, 1, C]`` (IMDN, Hui et al. 2019).

    The gradient is infinite where a channel is constant, as behind a ReLU that is 0 everywhere.
    """
    mean, deviation = ops.mean_and_deviation(x)
    return ops.add(deviation, mean)


def anchor(x: jax.Array, scale: int) -> jax.Array:
    """Repeats the input once per output phase, ``[N, H, W, C] → [N, H, W, s²·C]``, in `to_pixels`' order.

    This is nearest-neighbour interpolation without its last step (ABPN, Du et al. 2021).
    """
    return ops.concat(*[x] * scale**2)


def list_shuffle_blocks(scale: int) -> tuple[int, ...]:
    """Returns the blocks of the depth-to-spaces in `to_pixels`: ×4 is two of ×2, which small NPUs require."""
    return (2, 2) if scale == 4 else (scale,)


def to_pixels(x: jax.Array, scale: int) -> jax.Array:
    """Moves channels to pixels, ``[N, H, W, s²·C] → [N, s·H, s·W, C]``, by depth-to-spaces."""
    for block in list_shuffle_blocks(scale):
        x = ops.depth_to_space(x, block=block)
    return x
