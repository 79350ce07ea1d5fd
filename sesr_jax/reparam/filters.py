"""Terms that work channel by channel, or that hold no parameters: fixed filters, pooling, selections.

Fixed taps are static fields and no leaves of the tree: an optimiser never sees them, and they cost nothing.

    edges = Sequential((Conv(k1, b1), sobel_x(16), Scale(s, b)))    # a branch of ECBSR's block

Any term gets strides by a `Subsample` behind it.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from typing_extensions import override

from sesr_jax.errors import InputError
from sesr_jax.reparam.terms import (
    Conv,
    Facts,
    Reach,
    Term,
    add_bias,
    check_ranks,
    check_steps,
    correlate,
    dilate,
    kernel_reach,
    make_conv,
)


@struct.dataclass
class Depthwise(Term):
    """A convolution of every channel by itself; output c·multiplier + j belongs to channel c.

    Attributes:
      kernel: ``[kh, kw, C, multiplier]``.
      bias: ``[C · multiplier]`` or None.
    """

    kernel: jax.Array
    bias: jax.Array | None = None

    @property
    @override
    def facts(self) -> Facts:
        check_ranks(self, kernel=4, bias=1)
        kh, kw, features, multiplier = self.kernel.shape
        return Facts(features, features * multiplier, kernel_reach(kh, kw))

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        kh, kw, features, _ = self.kernel.shape
        kernel = self.kernel.reshape(kh, kw, 1, -1)
        return add_bias(correlate(x, kernel, groups=features), self.bias)

    @override
    def collapse(self) -> Conv:
        """Returns the dense kernel, which is zero between different channels (OREPA's dwsc2full)."""
        facts, (kh, kw, features, _) = self.facts, self.kernel.shape
        own = jnp.eye(features, dtype=bool)[:, :, None]
        dense = jnp.where(own, self.kernel[:, :, None], 0.0)
        return make_conv(dense.reshape(kh, kw, features, -1), self.bias, facts)


@struct.dataclass
class FixedFilter(Term):
    """A depthwise convolution that is never trained; see `sobel_x` and the others below.

    Attributes:
      taps: ``[kh][kw][C]``, nested tuples.
    """

    taps: tuple[tuple[tuple[float, ...], ...], ...] = struct.field(pytree_node=False)

    @property
    def _depthwise(self) -> Depthwise:
        return Depthwise(jnp.asarray(self.taps, float)[..., None])

    @property
    @override
    def facts(self) -> Facts:
        features = len(self.taps[0][0])
        return Facts(features, features, kernel_reach(len(self.taps), len(self.taps[0])))

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        kernel = self._depthwise.kernel.astype(x.dtype)
        return Depthwise(kernel).apply_valid(x)

    @override
    def collapse(self) -> Conv:
        """Returns the dense kernel of zeros and taps."""
        return self._depthwise.collapse()


@struct.dataclass
class AveragePool(Term):
    """The mean over a window, zeros outside the image counted in (DBB, Transform V).

    Attributes:
      size: (height, width) of the window, anchored as a kernel is.
      features: channels.
    """

    size: tuple[int, int] = struct.field(pytree_node=False)
    features: int = struct.field(pytree_node=False)

    @property
    @override
    def facts(self) -> Facts:
        return Facts(self.features, self.features, kernel_reach(*self.size))

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        total = lax.reduce_window(x, 0.0, lax.add, (1, *self.size, 1), (1, 1, 1, 1), "VALID")
        return total / math.prod(self.size)

    @override
    def collapse(self) -> Conv:
        """Returns a kernel with 1 / (height · width) on the diagonal of every tap."""
        own = jnp.eye(self.features, dtype=bool)
        tap = jnp.where(own, 1 / math.prod(self.size), 0.0)
        return Conv(jnp.broadcast_to(tap, (*self.size, *tap.shape)))


@struct.dataclass
class Dilated(Term):
    """A convolution whose taps lie `rates` (down, right) pixels apart; only they are trained."""

    conv: Conv
    rates: tuple[int, int] = struct.field(pytree_node=False)

    @property
    @override
    def facts(self) -> Facts:
        """Multiplies the reach by the rates."""
        check_steps("rates", self.rates)
        down, right = self.rates
        top, bottom, left, right_ = self.conv.reach
        reach = Reach(down * top, down * bottom, right * left, right * right_)
        return self.conv.facts._replace(reach=reach)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        y = correlate(x, self.conv.kernel, self.conv.strides, self.rates)
        return add_bias(y, self.conv.bias)

    @override
    def collapse(self) -> Conv:
        """Returns a kernel with zeros between the taps."""
        facts = self.facts
        return make_conv(dilate(self.conv.kernel, self.rates), self.conv.bias, facts)


@struct.dataclass
class Subsample(Term):
    """Keeps the pixels on multiples of `strides` (down, right), of `features` channels."""

    features: int = struct.field(pytree_node=False)
    strides: tuple[int, int] = struct.field(pytree_node=False)

    @property
    @override
    def facts(self) -> Facts:
        check_steps("strides", self.strides)
        return Facts(self.features, self.features, strides=self.strides)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        down, right = self.strides
        return x[:, ::down, ::right]

    @override
    def collapse(self) -> Conv:
        """Returns a strided 1×1 of the unit matrix."""
        return make_conv(_one_hot(range(self.features), self.features), None, self.facts)


@struct.dataclass
class Select(Term):
    """Output channel c is input channel ``channels[c]``: a permutation, or a repetition.

    Attributes:
      channels: one input channel per output channel.
      features: channels of the input.
    """

    channels: tuple[int, ...] = struct.field(pytree_node=False)
    features: int = struct.field(pytree_node=False)

    @property
    @override
    def facts(self) -> Facts:
        if wrong := [c for c in self.channels if not 0 <= c < self.features]:
            raise InputError(
                f"Select of the channel {wrong[0]} out of {self.features}: channels are counted from 0."
            )
        return Facts(self.features, len(self.channels))

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        return x[..., np.asarray(self.channels)]

    @override
    def collapse(self) -> Conv:
        """Returns a 1×1 of one-hot columns."""
        return make_conv(_one_hot(self.channels, self.features), None, self.facts)


def nearest(features: int, block: int) -> Select:
    """Repeats channels so that `ops.depth_to_space` of `block` makes nearest-neighbour upscaling of them.

    It is ABPN's anchor (Du et al. 2021) and SESR's input residual: as a term, it folds into a kernel.
    """
    return Select(tuple(range(features)) * block**2, features)


def crd_to_dcr(features: int, block: int) -> Select:
    """Permutes PyTorch's pixel-shuffle order of channels to that of `ops.depth_to_space`.

    A convolution trained for a pixel shuffle, followed by this, feeds depth-to-space (QuickSRNet).

    Args:
      features: channels behind the shuffle.
      block: its factor.
    """
    order = np.arange(features * block**2).reshape(features, block**2).T
    return Select(tuple(order.ravel().tolist()), order.size)


def sobel_x(features: int) -> FixedFilter:
    """Returns ECBSR's horizontal Sobel filter (Zhang et al. 2021, eq. 5)."""
    return _repeat_mask(((1, 0, -1), (2, 0, -2), (1, 0, -1)), features)


def sobel_y(features: int) -> FixedFilter:
    """Returns ECBSR's vertical Sobel filter."""
    return _repeat_mask(((1, 2, 1), (0, 0, 0), (-1, -2, -1)), features)


def laplacian(features: int) -> FixedFilter:
    """Returns ECBSR's Laplacian filter."""
    return _repeat_mask(((0, 1, 0), (1, -4, 1), (0, 1, 0)), features)


def frequency_prior(size: tuple[int, int], features: int) -> FixedFilter:
    """Returns OREPA's cosines (Hu et al. 2022): along rows for half of the channels, else along columns."""
    half = features // 2
    rows, columns = (np.arange(n)[:, None] for n in size)
    down = np.cos(np.pi * (rows + 0.5) * (np.arange(half) + 1) / size[0])[:, None]
    right = np.cos(np.pi * (columns + 0.5) * (np.arange(features - half) + 1) / size[1])[None]
    taps = [np.broadcast_to(part, (*size, part.shape[-1])) for part in (down, right)]
    return FixedFilter(_to_tuples(np.concatenate(taps, axis=-1)))


def _repeat_mask(mask: tuple[tuple[int, ...], ...], features: int) -> FixedFilter:
    """Returns the filter with the same `mask` on every channel."""
    return FixedFilter(_to_tuples(np.repeat(np.asarray(mask, float)[..., None], features, axis=-1)))


def _to_tuples(taps: np.ndarray) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(tap) for tap in row) for row in taps.tolist())


def _one_hot(channels: tuple[int, ...] | range, features: int) -> jax.Array:
    """Returns a 1×1 kernel, weakly typed: it takes the dtype of its neighbours."""
    own = np.arange(features)[:, None] == np.asarray(channels)
    return jnp.where(own, 1.0, 0.0)[None, None]
