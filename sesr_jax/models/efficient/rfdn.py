"""RFDN: Residual Feature Distillation Network (Liu et al., ECCV Workshops 2020).

It is the form that won AIM 2020 (NJU_MCG), whose blocks have no skip around them. On RGB:

    3×3 to f  →  m blocks, one after the other  →  concat of their outputs  →  1×1, LeakyReLU  →  3×3
        →  + first feature map  →  3×3 to 3·s²  →  pixels

    block:  3 × (keep a 1×1 to f / 2, LeakyReLU;  go on with a 3×3, + its input, LeakyReLU),
        3×3 to f / 2, LeakyReLU  →  concat of what was kept  →  1×1 to f  →  enhanced spatial attention

The slope is 0.05.
"""

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.efficient.report import AIM_2020
from sesr_jax.models.layers import SpatialAttention, to_pixels
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


def _activate(x: jax.Array) -> jax.Array:
    return ops.leaky_relu(x, slope=0.05)


class RFDBlock(nn.Module):
    """A block; `mode` as in `LinearConv`."""

    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        features = x.shape[-1]

        def conv(h: jax.Array, width: int, name: str, size: int = 3) -> jax.Array:
            return LinearConv(width, dense(size), self.mode, name=name)(h)

        parts, h = [], x
        for i in range(3):
            parts.append(_activate(conv(h, features // 2, f"keep_{i}", size=1)))
            h = _activate(ops.add(conv(h, features, f"conv_{i}"), h))
        parts.append(_activate(conv(h, features // 2, "conv_3")))
        y = conv(ops.concat(*parts), features, "fuse", size=1)
        return SpatialAttention(features // 4, name="attention")(y)


class RFDN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f, 4 or more.
      blocks: m.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 50
    blocks: int = 4
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def conv(h: jax.Array, features: int, name: str, size: int = 3) -> jax.Array:
            return LinearConv(features, dense(size), self.mode, name=name)(h)

        h = shallow = conv(x, self.features, "head")
        outputs = []
        for i in range(self.blocks):
            h = RFDBlock(self.mode, name=f"block_{i}")(h)
            outputs.append(h)
        h = _activate(conv(ops.concat(*outputs), self.features, "fuse", size=1))
        h = ops.add(conv(h, self.features, "body"), shallow)
        return to_pixels(conv(h, self.channels * self.scale**2, "tail"), self.scale)


VARIANTS = {"rfdn_aim2020": Variant(build=RFDN, scales=(4,), paper=AIM_2020)}
