"""BTSRN: Balanced Two-Stage Residual Networks for Image Super-Resolution (Fan et al., CVPR Workshops 2017).

On RGB; 6 blocks work on the small image, and 4 on the large one:

    1×1 to f  →  m₁ blocks  →  enlargement  →  m₂ blocks  →  LeakyReLU, 1×1

    block:        LeakyReLU, 1×1 to g, LeakyReLU, 3×3 to f  →  + its input
    enlargement:  nearest  +  (LeakyReLU, transposed s×s of stride s);  for ×4 it is ×2 twice

The slope is 0.2. The order of layers and f = 128 are those of the authors' released code, whose g is 64. The
410 K that the tables print, and their 207.7 and 165.2 G MACs, are those of the first 1×1 and of ten blocks
with g = 32, which is taken here; they leave out the enlargement and the last 1×1. With these, ours has 476 K
weights at ×2 and takes 268.5 G.
"""

from typing import Annotated

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import ConvTranspose, list_shuffle_blocks
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


def _activate(x: jax.Array) -> jax.Array:
    return ops.leaky_relu(x, slope=0.2)


class ProjectedBlock(nn.Module):
    """A block.

    Attributes:
      projected: g.
      mode: see `LinearConv`.
    """

    projected: int
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        h = LinearConv(self.projected, dense(1), self.mode, name="project")(_activate(x))
        return ops.add(LinearConv(x.shape[-1], dense(3), self.mode, name="conv")(_activate(h)), x)


class BTSRN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f.
      projected: g.
      small_blocks: m₁, the blocks before the enlargement.
      large_blocks: m₂, the blocks behind it.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 2
    features: int = 128
    projected: int = 32
    small_blocks: Annotated[int, AtLeast(0)] = 6
    large_blocks: Annotated[int, AtLeast(0)] = 4
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        h = LinearConv(self.features, dense(1), self.mode, name="head")(x)
        for i in range(self.small_blocks):
            h = ProjectedBlock(self.projected, self.mode, name=f"small_{i}")(h)
        for i, factor in enumerate(list_shuffle_blocks(self.scale)):
            enlarge = ConvTranspose(self.features, factor, stride=factor, name=f"enlarge_{i}")
            h = ops.add(ops.resize(h, scale=factor, method="nearest"), enlarge(_activate(h)))
        for i in range(self.large_blocks):
            h = ProjectedBlock(self.projected, self.mode, name=f"large_{i}")(h)
        return LinearConv(self.channels, dense(1), self.mode, name="tail")(_activate(h))


VARIANTS = {
    "btsrn": Variant(
        build=BTSRN,
        scales=(2, 3, 4),
        paper="Fan et al., BTSRN, CVPR Workshops 2017",
        figures=(
            *read_rows(
                "FALSR",
                """
model scale params  MACs Set5    Set14   B100    Urban100 Manga109 DIV2K
btsrn     2    410 207.7 37.75/- 33.20/- 32.05/- 31.63/-  -        -
""",
            ),
            *read_rows(
                "SESR",
                """
model scale params  MACs Set5    Set14   B100    Urban100 Manga109 DIV2K
btsrn     4    410 165.2 31.85/- 28.20/- 27.47/- 25.74/-  -        -
""",
            ),
        ),
    )
}
