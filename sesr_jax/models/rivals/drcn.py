"""DRCN: Deeply-Recursive Convolutional Network for Image Super-Resolution (Kim et al., CVPR 2016).

On luma, which is enlarged bicubically first:

    3×3 to f, ReLU, 3×3, ReLU  →  one 3×3 with ReLU, m times over  →  of each of its m outputs:
        3×3, ReLU, 3×3, + bicubic input  →  the sum of the m images by trained weights

The recursion has one kernel, and the m images are made by the same two. They count once as parameters and m
times as MACs. The weighted sum is a 1×1 convolution here.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.bicubic import MATLAB, resize_bicubically
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import Conv, LinearConv, Term, dense
from sesr_jax.reparam.linear_conv import Mode


def _average(key: jax.Array, in_features: int, out_features: int) -> Term:
    """Makes a 1×1 convolution that starts as the mean of images of `out_features` channels each."""
    del key
    images = in_features // out_features
    return Conv(jnp.tile(jnp.eye(out_features) / images, (images, 1))[None, None], None)


class DRCN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f.
      recursions: m.
      channels: C; 1 for Y.
      mode: see `LinearConv`.
    """

    scale: int = 2
    features: int = 256
    recursions: int = 16
    channels: Channels = 1
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, form=dense(3), mode=self.mode)
        large = resize_bicubically(x, self.scale, MATLAB)
        h = ops.relu(conv(self.features, name="embed_0")(large))
        h = ops.relu(conv(self.features, name="embed_1")(h))
        recursion = conv(self.features, name="recursion")
        first, last = (
            conv(width, name=f"reconstruct_{i}")
            for i, width in enumerate((self.features, self.channels))
        )
        images = []
        for _ in range(self.recursions):
            h = ops.relu(recursion(h))
            images.append(ops.add(last(ops.relu(first(h))), large))
        return LinearConv(self.channels, _average, self.mode, name="ensemble")(ops.concat(*images))


VARIANTS = {
    "drcn": Variant(
        build=DRCN,
        scales=(2, 3, 4),
        paper="Kim et al., DRCN, CVPR 2016",
        figures=read_rows(
            "FALSR",
            """
model scale params    MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
drcn      2   1774 17974.3 37.63/0.9588 33.04/0.9118 31.85/0.8942 30.75/0.9133 -        -
""",
        ),
    )
}
