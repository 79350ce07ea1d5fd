"""SRVGGNetCompact, the small network of Real-ESRGAN (Wang et al., ICCV Workshops 2021, and its repository).

On RGB:

    3×3 to f, PReLU  →  m × (3×3, PReLU)  →  3×3 to 3·s²  →  pixels  →  + nearest input

The slopes are one per channel.
"""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import PReLU, to_pixels
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


class SRVGGNet(nn.Module):
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
    blocks: int = 32
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, form=dense(3), mode=self.mode)
        h = PReLU(name="head_prelu")(conv(self.features, name="head")(x))
        for i in range(self.blocks):
            h = PReLU(name=f"prelu_{i}")(conv(self.features, name=f"block_{i}")(h))
        y = to_pixels(conv(self.channels * self.scale**2, name="tail")(h), self.scale)
        return ops.add(y, ops.resize(x, scale=self.scale, method="nearest"))


_PAPER = "Wang et al., Real-ESRGAN, ICCV Workshops 2021; xinntao/Real-ESRGAN"

VARIANTS = {
    "srvggnet_32": Variant(build=SRVGGNet, scales=(2, 3, 4), paper=_PAPER),
    "srvggnet_16": Variant(
        build=functools.partial(SRVGGNet, blocks=16), scales=(2, 3, 4), paper=_PAPER
    ),
}
