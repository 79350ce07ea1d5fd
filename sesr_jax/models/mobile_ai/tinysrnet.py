"""TinySRNet, the entry of Noah_TerminalVision to the Mobile AI 2021 challenge (Ignatov et al. 2021).

The report describes three residual blocks, space-to-depth, depth-to-space and one residual convolution,
without widths. Its reconstruction on RGB:

    space-to-depth(2)  →  3×3 to f  →  3 × (3×3, ReLU, 3×3, + its input)  →  3×3 to 4·3·s²
        →  depth-to-space(2)  →  + 3×3 of the input  →  pixels  →  clip to [0, 1]

Our choices: blocks are EDSR's, of two convolutions; features lie at half the resolution; the residual
convolution bypasses all other layers; f makes the INT8 file as large as the published 49 KB.
"""

import functools
from typing import Annotated

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import ResidualBlock, to_pixels
from sesr_jax.models.mobile_ai.report import REPORT_2021
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


class TinySRNet(nn.Module):
    """``[N, H, W, C]`` in [0, 1], H and W even, to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: f.
      blocks: the number of residual blocks.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 18
    blocks: Annotated[int, AtLeast(0)] = 3
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, form=dense(3), mode=self.mode)
        last = self.channels * self.scale**2
        h = conv(self.features, name="head")(ops.space_to_depth(x, block=2))
        for i in range(self.blocks):
            h = ResidualBlock(self.mode, name=f"block_{i}")(h)
        h = ops.depth_to_space(conv(4 * last, name="tail")(h), block=2)
        y = ops.add(h, conv(last, name="residual")(x))
        return ops.clip(to_pixels(y, self.scale), low=0.0, high=1.0)


VARIANTS = {"tinysrnet": Variant(build=TinySRNet, scales=(3,), paper=REPORT_2021)}
