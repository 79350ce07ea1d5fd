"""SPAN: Swift Parameter-free Attention Network (Wan et al., CVPR Workshops 2024).

The winner of NTIRE 2024. On RGB:

    - mean  →  3×3 to f  →  m blocks  →  3×3
        →  concat of the first feature map, this one, the first block's output and the last block's inner map
        →  1×1 to f  →  3×3 to 3·s²  →  pixels

    block:  a = SiLU(3×3 of x);  b = SiLU(3×3 of a);  c = 3×3 of b  →  (c + x) · (sigmoid(c) - 1/2)

The inner map is a. All 3×3s but the last train as Conv3XC. DSCF, the winner of NTIRE 2025, is deployed as the
same network with 26 channels.
"""

import functools
from typing import ClassVar, Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.efficient.report import NTIRE_2024
from sesr_jax.models.layers import DIV2K_MEAN, to_pixels
from sesr_jax.models.variant import FormOption, Variant
from sesr_jax.reparam import LinearConv, dense, find_form
from sesr_jax.reparam.linear_conv import Mode


class SPABlock(nn.Module):
    """A block; the fields are those of `SPAN`."""

    form: FormOption = "conv3xc"
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the output and the inner map, which are ``[N, H, W, C]`` as `x` is."""
        form = find_form(self.form)(3)
        conv = functools.partial(LinearConv, x.shape[-1], form, self.mode)
        inner = ops.silu(conv(name="conv_0")(x))
        y = conv(name="conv_2")(ops.silu(conv(name="conv_1")(inner)))
        return ops.mul(ops.add(y, x), ops.sub(ops.sigmoid(y), 0.5)), inner


class SPAN(nn.Module):
    """``[N, H, W, 3]`` in [0, 1] to ``[N, s·H, s·W, 3]``, not clipped.

    Attributes:
      scale: s.
      features: f.
      blocks: m.
      form: the form of the 3×3 convolutions, or a name in `reparam.FORMS`.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 48
    blocks: int = 6
    form: FormOption = "conv3xc"
    mode: Mode = "collapsed"

    channels: ClassVar[Literal[3]] = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, self.features, find_form(self.form)(3), mode=self.mode)
        h = shallow = conv(name="head")(ops.sub(x, DIV2K_MEAN))
        outputs = []
        for i in range(self.blocks):
            h, inner = SPABlock(self.form, self.mode, name=f"block_{i}")(h)
            outputs.append(h)
        h = ops.concat(shallow, conv(name="body")(h), outputs[0], inner)
        h = LinearConv(self.features, dense(1), self.mode, name="fuse")(h)
        y = LinearConv(self.channels * self.scale**2, dense(3), self.mode, name="tail")(h)
        return to_pixels(y, self.scale)


_PAPER = "Wan et al., SPAN, CVPR Workshops 2024"

VARIANTS = {
    "span": Variant(build=SPAN, scales=(2, 4), paper=_PAPER),
    "span_ntire2024": Variant(
        build=functools.partial(SPAN, features=28), scales=(4,), paper=NTIRE_2024
    ),
    "span_tiny": Variant(build=functools.partial(SPAN, features=26), scales=(4,), paper=NTIRE_2024),
}
