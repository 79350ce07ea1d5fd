"""FSRCNN: Accelerating the Super-Resolution Convolutional Neural Network (Dong et al., ECCV 2016)."""

import functools
from typing import ClassVar

import jax
from flax import linen as nn

from sesr_jax.models.layers import PReLU, conv_transpose
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode

_he = nn.initializers.he_normal()


class FSRCNN(nn.Module):
    """``[N, H, W, 1]`` in [0, 1] to ``[N, s·H, s·W, 1]``: FSRCNN(d, s, m) of the paper's §3.4.

    Attributes:
      scale: the scale factor, the stride of the last, transposed 9×9.
      features: d, the channels of the first and the last layer.
      shrunk: s, the channels of the mapping layers.
      mappings: m, the number of 3×3 mapping layers.
      mode: see `LinearConv`.
    """

    scale: int
    features: int = 56
    shrunk: int = 12
    mappings: int = 4
    mode: Mode = "collapsed"

    channels: ClassVar[int] = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, mode=self.mode)
        layers = [("extract", self.features, 5), ("shrink", self.shrunk, 1)]
        layers += [(f"map_{i}", self.shrunk, 3) for i in range(self.mappings)]
        layers += [("expand", self.features, 1)]
        h = x
        for name, features, size in layers:
            form = dense(size, start=_he)
            h = PReLU(name=f"{name}_prelu")(conv(features, form, name=name)(h))
        # The paper draws the last kernel from N(0, 0.001²), and the others as He et al. (2015) do.
        start, names = nn.initializers.normal(1e-3), ("deconv", "deconv_bias")
        return conv_transpose(self, h, 1, 9, stride=self.scale, start=start, names=names)


VARIANTS = {
    "fsrcnn": Variant(
        build=FSRCNN,
        scales=(2, 3, 4),
        paper="Dong et al., Accelerating the SRCNN, ECCV 2016, as printed in SESR's Table 1",
        figures=read_rows(
            "SESR",
            """
model       scale  params   MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
fsrcnn          2   12.46   6.00 36.98/0.9556 32.62/0.9087 31.50/0.8904 29.85/0.9009 36.62/0.9710 34.74/0.9340
fsrcnn          4   12.46   4.63 30.70/0.8657 27.59/0.7535 26.96/0.7128 24.60/0.7258 27.89/0.8590 29.36/0.8110
""",
        ),
    )
}
