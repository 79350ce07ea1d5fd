"""The third of AIM 2020, UESTC-MediaLab's network (Zhang et al., arXiv:2009.06943).

The report describes IMDN in which each 3×3 with its LeakyReLU became a grouped 3×3 to twice the channels, a
PReLU and a 1×1; trained skips; widths and depths balanced anew; training by kernel bases that
grow in stages. Its widths are not public. Its reconstruction on RGB:

    3×3 to f  →  m blocks, one after the other  →  3×3  →  + first feature map  →  3×3 to 3·s²  →  pixels

    block:  4 × (3×3 in 2 groups to twice the channels, PReLU, 1×1; a quarter is kept, the rest goes on)
        →  concat of what was kept  →  1×1  →  a · this + b · its input

Our choices: m = 6 gives the published number of convolutions, 57; f = 48 and 2 groups come within 3 % of the
published parameters (0.461 M) and FLOPs (30.06 G), and within 4 % of the activations (219.61 M). Grouped
kernels are plain, since a term collapses to a dense kernel.
"""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.efficient.report import AIM_2020
from sesr_jax.models.layers import Conv, PReLU, to_pixels
from sesr_jax.models.variant import Channels, FormOption, Variant
from sesr_jax.reparam import LinearConv, find_form
from sesr_jax.reparam.linear_conv import Mode


class MediaLabBlock(nn.Module):
    """A block; the fields are those of `MediaLab`."""

    form: FormOption = "kernel_basis"
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        features = x.shape[-1]
        kept = features // 4
        point = functools.partial(LinearConv, form=find_form(self.form)(1), mode=self.mode)
        parts, h = [], x
        for i in range(4):
            wide = Conv(2 * h.shape[-1], 3, groups=2, name=f"conv_{i}")(h)
            wide = PReLU(name=f"prelu_{i}")(wide)
            h = point(features if i < 3 else kept, name=f"mix_{i}")(wide)
            if i < 3:
                parts.append(ops.slice(h, begin=(0, 0, 0, 0), size=(-1, -1, -1, kept)))
                h = ops.slice(h, begin=(0, 0, 0, kept), size=(-1, -1, -1, -1))
        y = point(features, name="fuse")(ops.concat(*parts, h))
        scales = [
            self.param(name, nn.initializers.ones, ()).astype(x.dtype)
            for name in ("fused_scale", "input_scale")
        ]
        return ops.add(ops.mul(y, scales[0]), ops.mul(x, scales[1]))


class MediaLab(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f, a multiple of 8.
      blocks: m.
      channels: C; 3 for RGB.
      form: the form of the convolutions without groups, or a name in `reparam.FORMS`.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 48
    blocks: int = 6
    channels: Channels = 3
    form: FormOption = "kernel_basis"
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, form=find_form(self.form)(3), mode=self.mode)
        h = shallow = conv(self.features, name="head")(x)
        for i in range(self.blocks):
            h = MediaLabBlock(self.form, self.mode, name=f"block_{i}")(h)
        h = ops.add(conv(self.features, name="body")(h), shallow)
        return to_pixels(conv(self.channels * self.scale**2, name="tail")(h), self.scale)


VARIANTS = {"uestc_medialab": Variant(build=MediaLab, scales=(4,), paper=AIM_2020)}
