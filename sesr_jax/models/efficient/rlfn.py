"""RLFN: Residual Local Feature Network (Kong et al., CVPR Workshops 2022).

The winner of NTIRE 2022's main track. On RGB:

    3×3 to f  →  m blocks  →  3×3  →  + first feature map  →  3×3 to 3·s²  →  pixels

    block:  3×3 to g, LeakyReLU, 3×3, LeakyReLU, 3×3 to f, LeakyReLU  →  + its input  →  1×1
        →  enhanced spatial attention with one 3×3 and 16 channels inside

The slope is 0.05.
"""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.efficient.report import NTIRE_2022
from sesr_jax.models.layers import SpatialAttention, to_pixels
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


class RLFBlock(nn.Module):
    """A block; the fields are those of `RLFN`."""

    middle: int
    squeezed: int = 16
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        features, h = x.shape[-1], x
        for i, width in enumerate((self.middle, self.middle, features)):
            h = LinearConv(width, dense(3), self.mode, name=f"conv_{i}")(h)
            h = ops.leaky_relu(h, slope=0.05)
        y = LinearConv(features, dense(1), self.mode, name="fuse")(ops.add(h, x))
        return SpatialAttention(self.squeezed, convolutions=1, name="attention")(y)


class RLFN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f.
      middle: g, the channels inside the blocks.
      blocks: m.
      squeezed: the channels inside the attention.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 52
    middle: int = 52
    blocks: int = 6
    squeezed: int = 16
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, form=dense(3), mode=self.mode)
        h = shallow = conv(self.features, name="head")(x)
        for i in range(self.blocks):
            h = RLFBlock(self.middle, self.squeezed, self.mode, name=f"block_{i}")(h)
        h = ops.add(conv(self.features, name="body")(h), shallow)
        return to_pixels(conv(self.channels * self.scale**2, name="tail")(h), self.scale)


_PAPER = "Kong et al., RLFN, CVPR Workshops 2022"

VARIANTS = {
    "rlfn": Variant(
        build=RLFN,
        scales=(2, 4),
        paper=_PAPER,
        figures=read_rows(
            "RLFN",
            """
model scale params MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
rlfn      2    527    - 38.07/0.9607 33.72/0.9187 32.22/0.9000 32.33/0.9299 -            -
rlfn      4    543    - 32.24/0.8952 28.62/0.7813 27.60/0.7364 26.17/0.7877 -            -
""",
        ),
    ),
    "rlfn_s": Variant(
        build=functools.partial(RLFN, features=48, middle=48), scales=(2, 4), paper=_PAPER
    ),
    "rlfn_ntire2022": Variant(
        build=functools.partial(RLFN, features=46, middle=48, blocks=4),
        scales=(4,),
        paper=NTIRE_2022,
    ),
}
