"""XLSR: Extremely Lightweight Quantization Robust Super Resolution (Ayazoglu, CVPR Workshops 2021).

The winner of the Mobile AI 2021 challenge (Aselsan Research). On RGB:

    3×3 to 32, ReLU, 1×1  →  3 × (3×3 in 4 groups, ReLU, 1×1)  ┐
    3×3 to 16 of the input                                      ┴  concat  →  1×1 to 32, ReLU
        →  3×3 to 3·s²  →  pixels  →  clip to [0, 1]

The clip, the paper's Clipped ReLU, is part of training too, since it keeps the network's quality in INT8.
"""

from typing import Annotated

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import conv, to_pixels
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode

# The paper is cited to draw kernels as He et al. (2015) do, "with variance 0.1". Here this means 0.1 in the
# place of their 2, so that the variance is 0.1 over the fan-in.
_start = nn.initializers.variance_scaling(0.1, "fan_in", "normal")


class GBlock(nn.Module):
    """``[N, H, W, C] → [N, H, W, C]``: a 3×3 in groups, ReLU, and a 1×1 that mixes the groups."""

    groups: int = 4
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the block, which has no residual."""
        features = x.shape[-1]
        h = conv(self, x, features, 3, groups=self.groups, start=_start)
        mix = LinearConv(features, dense(1, start=_start), self.mode, name="mix")
        return mix(ops.relu(h))


class XLSR(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: the channels of the main branch.
      skip: the channels of the branch beside it.
      blocks: the number of `GBlock`.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 32
    skip: int = 16
    blocks: Annotated[int, AtLeast(0)] = 3
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def linear(h: jax.Array, features: int, size: int, name: str) -> jax.Array:
            return LinearConv(features, dense(size, start=_start), self.mode, name=name)(h)

        h = linear(ops.relu(linear(x, self.features, 3, "head")), self.features, 1, "mix")
        for i in range(self.blocks):
            h = GBlock(mode=self.mode, name=f"block_{i}")(h)
        h = ops.concat(h, linear(x, self.skip, 3, "skip"))
        h = ops.relu(linear(h, self.features, 1, "fuse"))
        y = linear(h, self.channels * self.scale**2, 3, "tail")
        return ops.clip(to_pixels(y, self.scale), low=0.0, high=1.0)


VARIANTS = {"xlsr": Variant(build=XLSR, scales=(3,), paper="Ayazoglu, XLSR, CVPR Workshops 2021")}
