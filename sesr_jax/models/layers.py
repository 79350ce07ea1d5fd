"""Layers that several families share."""

import jax
from flax import linen as nn

from sesr_jax import ops


class PReLU(nn.Module):
    """A rectifier with one trained slope a channel (He et al. 2015), as SESR and FSRCNN use it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return ops.prelu(x, slope.astype(x.dtype))


def shuffle_blocks(scale: int) -> tuple[int, ...]:
    """The depth-to-spaces of `to_pixels`: ×4 is two of ×2, which small NPUs require."""
    return (2, 2) if scale == 4 else (scale,)


def to_pixels(x: jax.Array, scale: int) -> jax.Array:
    """``[N, H, W, s²·C] → [N, s·H, s·W, C]``."""
    for block in shuffle_blocks(scale):
        x = ops.depth_to_space(x, block=block)
    return x
