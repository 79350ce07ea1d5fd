"""ABPN: Anchor-based Plain Net for Mobile Image Super-Resolution (Du et al., CVPR Workshops 2021).

The entry of the team MCG to the Mobile AI 2021 challenge. On RGB:

    3×3 to 28, ReLU  →  4 × (3×3, ReLU)  →  3×3 to 3·s², ReLU  →  3×3 to 3·s²
        →  + the input, once for each output phase  →  pixels  →  clip to [0, 1]

The repeated input is the anchor: nearest-neighbour interpolation that costs a concatenation. The paper's
images are in [0, 255]; in [0, 1] the same kernels compute the same function, with biases of a 255th.
Kernels start Glorot-normal, and biases at zero.
"""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import anchor, to_pixels
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


class ABPN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: the channels between the convolutions.
      blocks: the number of 3×3 between the first and the last two.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 28
    blocks: int = 4
    channels: int = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        form = dense(3, start=nn.initializers.glorot_normal())
        conv = functools.partial(LinearConv, form=form, mode=self.mode)
        last = self.channels * self.scale**2
        names = ("head", *(f"block_{i}" for i in range(self.blocks)))
        h = x
        for name, features in (*((name, self.features) for name in names), ("expand", last)):
            h = ops.relu(conv(features, name=name)(h))
        y = ops.add(conv(last, name="tail")(h), anchor(x, self.scale))
        return ops.clip(to_pixels(y, self.scale), low=0.0, high=1.0)
