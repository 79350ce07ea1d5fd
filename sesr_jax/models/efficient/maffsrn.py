"""MAFFSRN: Multi-Attention Based Ultra Lightweight SR (Muqeet et al., ECCV Workshops 2020).

MLVC's entry to AIM 2020, with the least memory. On RGB:

    3×3 to f  →  m groups  →  a · 3×3 to 3·s²  +  b · 5×5 to 3·s²  →  pixels  →  + bicubic input

    group:  four blocks, the two in the middle with a skip around them  →  three fusions, one after the other:
        concat of what there is and the next block's output, channels shuffled in 2 groups, 1×1 to f
        →  c · this + d · the input
    block:  3×3, LeakyReLU, 3×3  →  · gate of the enhanced spatial attention
        · gate of a 1×1 and a 5×5 per channel

The slope is 0.05; a, b, c and d are trained numbers. The attention has two 3×3s side by side on the small
map, one of them dilated. All but the blocks' convolutions train with weight norms, which are part of the
kernels here. The small map is resized with half-pixel centres, where PyTorch's "nearest" rounds down; no
weights are public.
"""

from typing import Annotated

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.bicubic import PYTORCH, resize_bicubically
from sesr_jax.models.efficient.report import AIM_2020
from sesr_jax.models.layers import Conv, to_pixels
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


def _activate(x: jax.Array) -> jax.Array:
    return ops.leaky_relu(x, slope=0.05)


class MABlock(nn.Module):
    """A block; `mode` as in `LinearConv`."""

    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        features, narrow = x.shape[-1], x.shape[-1] // 4

        def conv(h: jax.Array, width: int, name: str, size: int = 3) -> jax.Array:
            return LinearConv(width, dense(size), self.mode, name=name)(h)

        x = conv(_activate(conv(x, features, "conv_0")), features, "conv_1")
        squeezed = conv(x, narrow, "squeeze", size=1)
        y = Conv(narrow, 3, stride=2, padding=((1, 1), (1, 1)), name="reduce")(squeezed)
        y = ops.max_pool(y, window=(7, 7), strides=(3, 3))
        dilated = _activate(Conv(narrow, 3, dilation=2, name="dilated")(y))
        y = ops.add(dilated, _activate(conv(y, narrow, "plain")))
        y = ops.add(ops.resize_like(y, squeezed, method="nearest"), squeezed)
        gate = ops.sigmoid(ops.relu(conv(y, features, "excite", size=1)))
        local = Conv(features, 5, groups=features, name="local")(conv(x, features, "mix", size=1))
        return ops.mul(ops.mul(gate, x), ops.sigmoid(local))


class FeatureFusionGroup(nn.Module):
    """A group; `mode` as in `LinearConv`."""

    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        outputs, h = [], x
        for i in range(4):
            y = MABlock(self.mode, name=f"block_{i}")(h)
            h = ops.add(y, h) if i in (1, 2) else y
            outputs.append(h)
        fused = outputs[0]
        for i, output in enumerate(outputs[1:]):
            both = ops.channel_shuffle(ops.concat(fused, output), groups=2)
            fused = LinearConv(x.shape[-1], dense(1), self.mode, name=f"fuse_{i}")(both)
        one = nn.initializers.ones
        fused = ops.mul(fused, self.param("fused_scale", one, ()).astype(x.dtype))
        return ops.add(fused, ops.mul(x, self.param("input_scale", one, ()).astype(x.dtype)))


class MAFFSRN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f, a multiple of 4.
      groups: m.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 32
    groups: Annotated[int, AtLeast(0)] = 4
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        h = LinearConv(self.features, dense(3), self.mode, name="head")(x)
        for i in range(self.groups):
            h = FeatureFusionGroup(self.mode, name=f"group_{i}")(h)
        tails = []
        for size in (3, 5):
            conv = LinearConv(
                self.channels * self.scale**2, dense(size), self.mode, name=f"tail_{size}"
            )
            factor = self.param(f"tail_{size}_scale", nn.initializers.constant(0.5), ())
            tails.append(ops.mul(conv(h), factor.astype(x.dtype)))
        y = to_pixels(ops.add(*tails), self.scale)
        return ops.add(y, resize_bicubically(x, self.scale, PYTORCH))


VARIANTS = {"maffsrn": Variant(build=MAFFSRN, scales=(2, 4), paper=AIM_2020)}
