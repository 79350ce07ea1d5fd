"""IMDN: Lightweight SR with Information Multi-distillation Network (Hui et al., ACM Multimedia 2019).

A block convolves four times; each time a quarter of the channels is kept and the rest goes on. On RGB:

    3×3 to f  →  m blocks, one after the other  →  concat of their outputs  →  1×1, LeakyReLU  →  3×3
        →  + first feature map  →  3×3 to 3·s²  →  pixels

    block:  3 × (3×3, LeakyReLU, keep f / 4 channels), 3×3 to f / 4
        →  concat of what was kept  →  contrast-aware channel attention  →  1×1  →  + its input

The slope is 0.05. The form that won AIM 2019 has eight blocks and neither attention nor the concat of their
outputs. FIMDN, the second of AIM 2020 (AiriA_CG), is deployed as that form with six blocks; its 3×3s train as
ACNet's sums.
"""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.efficient.report import AIM_2019, AIM_2020
from sesr_jax.models.layers import ChannelAttention, contrast, to_pixels
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Channels, FormOption, Variant
from sesr_jax.reparam import LinearConv, dense, find_form
from sesr_jax.reparam.linear_conv import Mode


def _activate(x: jax.Array) -> jax.Array:
    return ops.leaky_relu(x, slope=0.05)


class IMDBlock(nn.Module):
    """A block; the fields are those of `IMDN`."""

    attention: bool = True
    form: FormOption = dense
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        features = x.shape[-1]
        kept = features // 4
        conv = functools.partial(LinearConv, form=find_form(self.form)(3), mode=self.mode)
        parts, h = [], x
        for i in range(3):
            h = _activate(conv(features, name=f"conv_{i}")(h))
            parts.append(ops.slice(h, begin=(0, 0, 0, 0), size=(-1, -1, -1, kept)))
            h = ops.slice(h, begin=(0, 0, 0, kept), size=(-1, -1, -1, -1))
        y = ops.concat(*parts, conv(kept, name="conv_3")(h))
        if self.attention:
            y = ChannelAttention(features // 16, contrast, name="attention")(y)
        return ops.add(x, LinearConv(features, dense(1), self.mode, name="fuse")(y))


class IMDN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f, a multiple of 16.
      blocks: m.
      attention: whether the blocks have contrast-aware channel attention.
      fusion: whether the outputs of all blocks are joined, or the last one goes on alone.
      channels: C; 3 for RGB.
      form: the form of the blocks' 3×3 convolutions, or a name in `reparam.FORMS`.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 64
    blocks: int = 6
    attention: bool = True
    fusion: bool = True
    channels: Channels = 3
    form: FormOption = dense
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def conv(h: jax.Array, features: int, name: str, size: int = 3) -> jax.Array:
            return LinearConv(features, dense(size), self.mode, name=name)(h)

        h = shallow = conv(x, self.features, "head")
        outputs = []
        for i in range(self.blocks):
            h = IMDBlock(self.attention, self.form, self.mode, name=f"block_{i}")(h)
            outputs.append(h)
        if self.fusion:
            h = _activate(conv(ops.concat(*outputs), self.features, "fuse", size=1))
        h = ops.add(conv(h, self.features, "body"), shallow)
        return to_pixels(conv(h, self.channels * self.scale**2, "tail"), self.scale)


VARIANTS = {
    "imdn": Variant(
        build=IMDN,
        scales=(2, 3, 4),
        paper="Hui et al., IMDN, ACM Multimedia 2019",
        figures=read_rows(
            "IMDN",
            """
model scale params MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
imdn      2    694    - 38.00/0.9605 33.63/0.9177 32.19/0.8996 32.17/0.9283 38.88/0.9774 -
imdn      3    703    - 34.36/0.9270 30.32/0.8417 29.09/0.8046 28.17/0.8519 33.61/0.9445 -
imdn      4    715 40.9 32.21/0.8948 28.58/0.7811 27.56/0.7353 26.04/0.7838 30.45/0.9075 -
""",
        ),
    ),
    "imdn_aim2019": Variant(
        build=functools.partial(IMDN, blocks=8, attention=False, fusion=False),
        scales=(4,),
        paper=AIM_2019,
    ),
    "fimdn": Variant(
        build=functools.partial(IMDN, blocks=6, attention=False, fusion=False, form="acnet"),
        scales=(4,),
        paper=AIM_2020,
    ),
}
