"""VDSR: Accurate Image Super-Resolution Using Very Deep Convolutional Networks (Kim et al., CVPR 2016).

On luma, which is enlarged bicubically first:

    3×3 to f, ReLU  →  (m - 2) × (3×3, ReLU)  →  3×3  →  + bicubic input

One network of the paper serves all scale factors.
"""

from typing import Annotated

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.bicubic import MATLAB, resize_bicubically
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


class VDSR(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f.
      layers: m, the number of convolutions.
      channels: C; 1 for Y.
      mode: see `LinearConv`.
    """

    scale: int = 2
    features: int = 64
    layers: Annotated[int, AtLeast(2)] = 20
    channels: Channels = 1
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        h = large = resize_bicubically(x, self.scale, MATLAB)
        for i in range(self.layers - 1):
            h = ops.relu(LinearConv(self.features, dense(3), self.mode, name=f"conv_{i}")(h))
        return ops.add(LinearConv(self.channels, dense(3), self.mode, name="tail")(h), large)


VARIANTS = {
    "vdsr": Variant(
        build=VDSR,
        scales=(2, 3, 4),
        paper="Kim et al., VDSR, CVPR 2016",
        figures=(
            *read_rows(
                "FALSR",
                """
model scale params  MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
vdsr      2    665 612.6 37.53/0.9587 33.03/0.9124 31.90/0.8960 30.76/0.9140 -            -
""",
            ),
            *read_rows(
                "SESR",
                """
model scale params  MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
vdsr      4    665 612.6 31.35/0.8838 28.02/0.7678 27.29/0.7252 25.18/0.7525 28.82/0.8860 29.82/0.8240
""",
            ),
        ),
    )
}
