"""The entry of the team ALONG to the Mobile AI 2021 challenge (Ignatov et al. 2021).

The report describes a network like `tinysrnet`, but with all operations at the original scale, and with the
nearest-neighbour interpolation of the input added to the output. Its reconstruction on RGB:

    3×3 to f  →  3 × (3×3, ReLU, 3×3, + its input)  →  3×3 to 3·s²  →  pixels
        →  + nearest-neighbour interpolation of the input  →  clip to [0, 1]

Our choices: blocks are EDSR's, of two convolutions; f makes the INT8 file as large as the published 55 KB.
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


class ALONG(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: f.
      blocks: the number of residual blocks.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 26
    blocks: Annotated[int, AtLeast(0)] = 3
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, form=dense(3), mode=self.mode)
        h = conv(self.features, name="head")(x)
        for i in range(self.blocks):
            h = ResidualBlock(self.mode, name=f"block_{i}")(h)
        y = to_pixels(conv(self.channels * self.scale**2, name="tail")(h), self.scale)
        return ops.clip(ops.add(y, ops.resize(x, scale=self.scale)), low=0.0, high=1.0)


VARIANTS = {"along": Variant(build=ALONG, scales=(3,), paper=REPORT_2021)}
