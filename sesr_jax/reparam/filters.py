"""Terms that work channel by channel, or that hold no parameters: fixed filters, pooling, selections.

What is fixed is static, no leaf of the tree: an optimiser never sees it, and it costs nothing.

    edges = Sequential((Conv(k1, b1), sobel_x(16), Scale(s, b)))    # a branch of ECBSR's block

Any term takes strides from a `Subsample` behind it.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from sesr_jax.errors import InputError
from sesr_jax.reparam.terms import (
    Conv,
    Facts,
    Reach,
    Term,
    anchored,
    biased,
    check_ranks,
    check_steps,
    correlate,
    dilated,
    reach_of,
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
    def facts(self) -> Facts:
        """See `Term.facts`."""
        check_ranks(self, kernel=4, bias=1)
        kh, kw, features, multiplier = self.kernel.shape
        return Facts(features, features * multiplier, reach_of(kh, kw))

    def apply_valid(self, x: jax.Array) -> jax.Array:
        """See `Term.apply_valid`."""
        kh, kw, features, _ = self.kernel.shape
        kernel = self.kernel.reshape(kh, kw, 1, -1)
        return biased(correlate(x, kernel, groups=features), self.bias)

    def collapse(self) -> Conv:
        """The dense kernel, zero between different channels (OREPA's dwsc2full)."""
        facts, (kh, kw, features, _) = self.facts, self.kernel.shape
        own = jnp.eye(features, dtype=bool)[:, :, None]
        dense = jnp.where(own, self.kernel[:, :, None], 0.0)
        return anchored(dense.reshape(kh, kw, features, -1), self.bias, facts)


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
    def facts(self) -> Facts:
        """See `Term.facts`."""
        features = len(self.taps[0][0])
        return Facts(features, features, reach_of(len(self.taps), len(self.taps[0])))

    def apply_valid(self, x: jax.Array) -> jax.Array:
        """See `Term.apply_valid`."""
        kernel = self._depthwise.kernel.astype(x.dtype)
        return Depthwise(kernel).apply_valid(x)

    def collapse(self) -> Conv:
        """The dense kernel of zeros and taps."""
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
    def facts(self) -> Facts:
        """See `Term.facts`."""
        return Facts(self.features, self.features, reach_of(*self.size))

    def apply_valid(self, x: jax.Array) -> jax.Array:
        """See `Term.apply_valid`."""
        total = lax.reduce_window(x, 0.0, lax.add, (1, *self.size, 1), (1, 1, 1, 1), "VALID")
        return total / math.prod(self.size)

    def collapse(self) -> Conv:
        """1 / (height · width) on the diagonal of every tap."""
        own = jnp.eye(self.features, dtype=bool)
        tap = jnp.where(own, 1 / math.prod(self.size), 0.0)
        return Conv(jnp.broadcast_to(tap, (*self.size, *tap.shape)))


@struct.dataclass
class Dilated(Term):
    """A convolution whose taps lie `rates` (down, right) pixels apart; only they are trained."""

    conv: Conv
    rates: tuple[int, int] = struct.field(pytree_node=False)

    @property
    def facts(self) -> Facts:
        """The reach grows by the rates."""
        check_steps("rates", self.rates)
        down, right = self.rates
        top, bottom, left, right_ = self.conv.reach
        reach = Reach(down * top, down * bottom, right * left, right * right_)
        return self.conv.facts._replace(reach=reach)

    def apply_valid(self, x: jax.Array) -> jax.Array:
        """See `Term.apply_valid`."""
        y = correlate(x, self.conv.kernel, self.conv.strides, self.rates)
        return biased(y, self.conv.bias)

    def collapse(self) -> Conv:
        """A kernel with zeros between the taps."""
        facts = self.facts
        return anchored(dilated(self.conv.kernel, self.rates), self.conv.bias, facts)


@struct.dataclass
class Subsample(Term):
    """Keeps the pixels on multiples of `strides` (down, right); on `features` channels."""

    features: int = struct.field(pytree_node=False)
    strides: tuple[int, int] = struct.field(pytree_node=False)

    @property
    def facts(self) -> Facts:
        """See `Term.facts`."""
        check_steps("strides", self.strides)
        return Facts(self.features, self.features, strides=self.strides)

    def apply_valid(self, x: jax.Array) -> jax.Array:
        """See `Term.apply_valid`."""
        down, right = self.strides
        return x[:, ::down, ::right]

    def collapse(self) -> Conv:
        """A strided 1×1 of the unit matrix."""
        return anchored(_one_hot(range(self.features), self.features), None, self.facts)


@struct.dataclass
class Select(Term):
    """Output channel c is input channel ``channels[c]``: a permutation, or a repetition.

    Attributes:
      channels: one input channel an output channel.
      features: channels of the input.
    """

    channels: tuple[int, ...] = struct.field(pytree_node=False)
    features: int = struct.field(pytree_node=False)

    @property
    def facts(self) -> Facts:
        """See `Term.facts`."""
        if wrong := [c for c in self.channels if not 0 <= c < self.features]:
            raise InputError(
                f"Select of the channel {wrong[0]} out of {self.features}: channels are counted from 0; "
                "choose those that the image has."
            )
        return Facts(self.features, len(self.channels))

    def apply_valid(self, x: jax.Array) -> jax.Array:
        """See `Term.apply_valid`."""
        return x[..., np.asarray(self.channels)]

    def collapse(self) -> Conv:
        """A 1×1 of one-hot columns."""
        return anchored(_one_hot(self.channels, self.features), None, self.facts)


def nearest(features: int, block: int) -> Select:
    """What `ops.depth_to_space` of `block` turns into nearest-neighbour upscaling.

    ABPN's anchor (Du et al. 2021) and SESR's input residual: as a term, it folds into a kernel.
    """
    return Select(tuple(range(features)) * block**2, features)


def crd_to_dcr(features: int, block: int) -> Select:
    """From PyTorch's pixel-shuffle order of channels to that of `ops.depth_to_space`.

    A convolution trained for a pixel shuffle, followed by this, feeds depth-to-space (QuickSRNet).

    Args:
      features: channels behind the shuffle.
      block: its factor.
    """
    order = np.arange(features * block**2).reshape(features, block**2).T
    return Select(tuple(order.ravel().tolist()), order.size)


def sobel_x(features: int) -> FixedFilter:
    """ECBSR's horizontal Sobel filter (Zhang et al. 2021, eq. 5)."""
    return _everywhere(((1, 0, -1), (2, 0, -2), (1, 0, -1)), features)


def sobel_y(features: int) -> FixedFilter:
    """ECBSR's vertical Sobel filter."""
    return _everywhere(((1, 2, 1), (0, 0, 0), (-1, -2, -1)), features)


def laplacian(features: int) -> FixedFilter:
    """ECBSR's Laplacian filter."""
    return _everywhere(((0, 1, 0), (1, -4, 1), (0, 1, 0)), features)


def frequency_prior(size: tuple[int, int], features: int) -> FixedFilter:
    """OREPA's cosines (Hu et al. 2022): along the rows for half of the channels, along the columns else."""
    half = features // 2
    rows, columns = (np.arange(n)[:, None] for n in size)
    down = np.cos(np.pi * (rows + 0.5) * (np.arange(half) + 1) / size[0])[:, None]
    right = np.cos(np.pi * (columns + 0.5) * (np.arange(features - half) + 1) / size[1])[None]
    taps = [np.broadcast_to(part, (*size, part.shape[-1])) for part in (down, right)]
    return FixedFilter(_nested(np.concatenate(taps, axis=-1)))


def _everywhere(mask: tuple[tuple[int, ...], ...], features: int) -> FixedFilter:
    """The same `mask` on every channel."""
    return FixedFilter(_nested(np.repeat(np.asarray(mask, float)[..., None], features, axis=-1)))


def _nested(taps: np.ndarray) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(tap) for tap in row) for row in taps.tolist())


def _one_hot(channels: tuple[int, ...] | range, features: int) -> jax.Array:
    """A 1×1 kernel, weakly typed: it takes the dtype of its neighbours."""
    own = np.arange(features)[:, None] == np.asarray(channels)
    return jnp.where(own, 1.0, 0.0)[None, None]
