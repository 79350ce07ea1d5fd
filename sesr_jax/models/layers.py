"""Layers that several families share."""

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.reparam import LinearConv, dense


class PReLU(nn.Module):
    """A rectifier with one trained slope a channel (He et al. 2015), as SESR and FSRCNN use it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return ops.prelu(x, slope.astype(x.dtype))


def residual_block(x: jax.Array, name: str) -> jax.Array:
    """EDSR's block (Lim et al. 2017), ``[N, H, W, C] → [N, H, W, C]``: 3×3, ReLU, 3×3, plus the input."""
    features = x.shape[-1]
    h = ops.relu(LinearConv(features, dense(3), name=f"{name}_first")(x))
    return ops.add(x, LinearConv(features, dense(3), name=f"{name}_second")(h))


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
