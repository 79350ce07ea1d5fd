"""ABPN: Anchor-based Plain Net for Mobile Image Super-Resolution (Du et al., CVPR Workshops 2021).

The entry of the team MCG to the Mobile AI 2021 challenge. On RGB:

    3×3 to 28, ReLU  →  4 × (3×3, ReLU)  →  3×3 to 3·s², ReLU  →  3×3 to 3·s²
        →  + the input, once for each output phase  →  pixels  →  clip to [0, 1]

The repeated input is the anchor: nearest-neighbour interpolation at the cost of a concatenation. The paper
chooses it because the same convolutions with other residuals (`Residual`) lose more to INT8. Its images are
in [0, 255]; in [0, 1] the same kernels compute the same function with biases that are divided by 255.
Kernels start from the Glorot normal distribution, and biases from zero.
"""

import functools
from typing import Annotated, Literal, get_args

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import anchor, to_pixels
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode

Residual = Literal["anchor", "image", "feature", "none"]
"""The residual: "anchor" adds the input to all output phases; "image" adds its nearest-neighbour
interpolation to the image, which is the same function at the cost of a resize; "feature" adds the features of
the first convolution to those of the last block, as in EDSR; "none" adds nothing."""

RESIDUALS: tuple[Residual, ...] = get_args(Residual)


class ABPN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: the channels between the convolutions.
      blocks: the number of 3×3 between the first and the last two.
      channels: C; 3 for RGB.
      residual: see `Residual`.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 28
    blocks: Annotated[int, AtLeast(0)] = 4
    channels: Channels = 3
    residual: Residual = "anchor"
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        form = dense(3, start=nn.initializers.glorot_normal())
        conv = functools.partial(LinearConv, form=form, mode=self.mode)
        last = self.channels * self.scale**2
        h = shallow = ops.relu(conv(self.features, name="head")(x))
        for i in range(self.blocks):
            h = ops.relu(conv(self.features, name=f"block_{i}")(h))
        if self.residual == "feature":
            h = ops.add(h, shallow)
        y = conv(last, name="tail")(ops.relu(conv(last, name="expand")(h)))
        if self.residual == "anchor":
            y = ops.add(y, anchor(x, self.scale))
        y = to_pixels(y, self.scale)
        if self.residual == "image":
            y = ops.add(y, ops.resize(x, scale=self.scale))
        return ops.clip(y, low=0.0, high=1.0)


VARIANTS = {
    "abpn": Variant(
        build=ABPN, scales=(3,), paper="Du et al., Anchor-based Plain Net, CVPR Workshops 2021"
    )
}
