"""PAN: Efficient Image Super-Resolution Using Pixel Attention (Zhao et al., ECCV Workshops 2020).

XPixel's entry to AIM 2020, with the fewest parameters. On RGB:

    3×3 to f  →  m blocks  →  3×3  →  + first feature map
        →  for ×4 twice (nearest ×2, 3×3 to g, pixel attention, LeakyReLU, 3×3, LeakyReLU)
        →  3×3  →  + bilinear input

    block, SCPA (§3.3):  1×1 to f / 2, LeakyReLU, 3×3, LeakyReLU                                ┐
                         1×1 to f / 2, LeakyReLU, 3×3 · pixel attention, 3×3, LeakyReLU         ┴  concat
        →  1×1  →  + its input; only the attention has a bias

The slope is 0.2. At ×2 and ×3 there is one stage of upscaling.
"""

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import PixelAttention, list_shuffle_blocks
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


def _activate(x: jax.Array) -> jax.Array:
    return ops.leaky_relu(x, slope=0.2)


class SCPABlock(nn.Module):
    """A block; `mode` as in `LinearConv`."""

    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""

        def conv(h: jax.Array, width: int, name: str, size: int = 3) -> jax.Array:
            return LinearConv(width, dense(size, bias=False), self.mode, name=name)(h)

        half = x.shape[-1] // 2
        plain = _activate(conv(x, half, "plain_narrow", size=1))
        plain = _activate(conv(plain, half, "plain_conv"))
        gated = _activate(conv(x, half, "gated_narrow", size=1))
        gated = PixelAttention(name="attention")(gated, conv(gated, half, "gated_conv"))
        gated = _activate(conv(gated, half, "gated_last"))
        return ops.add(x, conv(ops.concat(plain, gated), x.shape[-1], "fuse", size=1))


class PAN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f, an even number.
      upscaling_features: g.
      blocks: m.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 40
    upscaling_features: int = 24
    blocks: int = 16
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def conv(h: jax.Array, features: int, name: str) -> jax.Array:
            return LinearConv(features, dense(3), self.mode, name=name)(h)

        h = shallow = conv(x, self.features, "head")
        for i in range(self.blocks):
            h = SCPABlock(self.mode, name=f"block_{i}")(h)
        h = ops.add(conv(h, self.features, "body"), shallow)
        for i, factor in enumerate(list_shuffle_blocks(self.scale)):
            h = conv(ops.resize(h, scale=factor), self.upscaling_features, f"upscale_{i}")
            h = _activate(PixelAttention(name=f"attention_{i}")(h))
            h = _activate(conv(h, self.upscaling_features, f"refine_{i}"))
        y = conv(h, self.channels, "tail")
        return ops.add(y, ops.resize(x, scale=self.scale, method="bilinear"))


VARIANTS = {
    "pan": Variant(
        build=PAN,
        scales=(2, 3, 4),
        paper="Zhao et al., PAN, ECCV Workshops 2020",
        figures=read_rows(
            "PAN",
            """
model scale params MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
pan       4  272.4 28.2 32.13/0.8948 28.61/0.7822 27.59/0.7363 -            -            -
""",
        ),
    )
}
