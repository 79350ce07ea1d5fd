"""Layers that several families share."""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


class PReLU(nn.Module):
    """A rectifier with one trained slope a channel (He et al. 2015), as SESR and FSRCNN use it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return ops.prelu(x, slope.astype(x.dtype))


class ResidualBlock(nn.Module):
    """EDSR's block (Lim et al. 2017): 3×3, ReLU, 3×3, plus the input; `mode` as in `LinearConv`."""

    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        conv = functools.partial(LinearConv, x.shape[-1], dense(3), self.mode)
        return ops.add(x, conv(name="second")(ops.relu(conv(name="first")(x))))


def anchor(x: jax.Array, scale: int) -> jax.Array:
    """``[N, H, W, C] → [N, H, W, s²·C]``: the input once for each output phase, as `to_pixels` wants it.

    So it is nearest-neighbour interpolation before its last step (ABPN, Du et al. 2021).
    """
    return ops.concat(*[x] * scale**2)


def shuffle_blocks(scale: int) -> tuple[int, ...]:
    """The depth-to-spaces of `to_pixels`: ×4 is two of ×2, which small NPUs require."""
    return (2, 2) if scale == 4 else (scale,)


def to_pixels(x: jax.Array, scale: int) -> jax.Array:
    """``[N, H, W, s²·C] → [N, s·H, s·W, C]``."""
    for block in shuffle_blocks(scale):
        x = ops.depth_to_space(x, block=block)
    return x
