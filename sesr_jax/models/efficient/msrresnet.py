"""MSRResNet, the baseline of AIM 2020 (Zhang et al., arXiv:2009.06943): SRResNet without batch norms.

On RGB:

    3×3 to f, LeakyReLU  →  m × (3×3, ReLU, 3×3, + its input)
        →  for ×4 twice (3×3 to 4·f, pixels ×2, LeakyReLU)  →  3×3, LeakyReLU  →  3×3  →  + bilinear input

The slope of the LeakyReLUs is 0.1. Unlike SRResNet (Ledig et al. 2017) it has no skip around the blocks.
"""

from typing import Annotated

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.efficient.report import AIM_2020
from sesr_jax.models.layers import ResidualBlock, list_shuffle_blocks
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


class MSRResNet(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f.
      blocks: m.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 64
    blocks: Annotated[int, AtLeast(0)] = 16
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def conv(h: jax.Array, features: int, name: str) -> jax.Array:
            return LinearConv(features, dense(3), self.mode, name=name)(h)

        def activate(h: jax.Array) -> jax.Array:
            return ops.leaky_relu(h, slope=0.1)

        h = activate(conv(x, self.features, "head"))
        for i in range(self.blocks):
            h = ResidualBlock(self.mode, name=f"block_{i}")(h)
        for i, block in enumerate(list_shuffle_blocks(self.scale)):
            wide = conv(h, self.features * block**2, f"upscale_{i}")
            h = activate(ops.depth_to_space(wide, block=block))
        h = activate(conv(h, self.features, "refine"))
        y = conv(h, self.channels, "tail")
        return ops.add(y, ops.resize(x, scale=self.scale, method="bilinear"))


VARIANTS = {"msrresnet": Variant(build=MSRResNet, scales=(2, 3, 4), paper=AIM_2020)}
