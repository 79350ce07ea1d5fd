"""RRDBNet, the network of ESRGAN and Real-ESRGAN (Wang et al., ECCV Workshops 2018, ICCV Workshops 2021).

On RGB:

    3×3 to f  →  m blocks  →  3×3  →  + first feature map
        →  twice (nearest ×2, 3×3, LeakyReLU)  →  3×3, LeakyReLU  →  3×3 to 3

    block:  p dense parts, + its input, which it adds 0.2 times the parts' output to
    dense part:  four times (3×3 to g of the concat of all so far, LeakyReLU), 3×3 to f of the concat of all
        →  0.2 times this, + its input

The slope is 0.2. At ×2 and ×1 the image is first unshuffled to a half and a quarter of its sides, so that the
layers between are those of ×4.
"""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode

_SHARE = 0.2
"""What the residual parts are multiplied by, before their inputs are added."""

_SMALL = nn.initializers.variance_scaling(0.02, "fan_in", "normal")
"""He's initialisation, times 0.1."""


class DensePart(nn.Module):
    """A dense part; the fields are those of `RRDBNet`."""

    grow: int
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        conv = functools.partial(LinearConv, form=dense(3, start=_SMALL), mode=self.mode)
        maps = [x]
        for i in range(4):
            joined = ops.concat(*maps) if i else x
            h = conv(self.grow, name=f"conv_{i}")(joined)
            maps.append(ops.leaky_relu(h, slope=0.2))
        y = conv(x.shape[-1], name="conv_4")(ops.concat(*maps))
        return ops.add(ops.mul(y, _SHARE), x)


class RRDB(nn.Module):
    """A block, "residual in residual dense block"; the fields are those of `RRDBNet`."""

    grow: int
    parts: int
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        h = x
        for i in range(self.parts):
            h = DensePart(self.grow, self.mode, name=f"dense_{i}")(h)
        return ops.add(ops.mul(h, _SHARE), x)


class RRDBNet(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    At ×2 and ×1 the sides of the image must be multiples of 2 and 4.

    Attributes:
      scale: s.
      features: f.
      grow: g, the channels that each convolution of a dense part adds.
      blocks: m.
      parts: p.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 64
    grow: int = 32
    blocks: int = 23
    parts: int = 3
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def conv(h: jax.Array, features: int, name: str) -> jax.Array:
            return LinearConv(features, dense(3), self.mode, name=name)(h)

        def activate(h: jax.Array) -> jax.Array:
            return ops.leaky_relu(h, slope=0.2)

        if self.scale < 4:
            x = ops.space_to_depth(x, block=4 // self.scale)
        h = shallow = conv(x, self.features, "head")
        for i in range(self.blocks):
            h = RRDB(self.grow, self.parts, self.mode, name=f"block_{i}")(h)
        h = ops.add(shallow, conv(h, self.features, "body"))
        for i in range(2):
            h = ops.resize(h, scale=2, method="nearest")
            h = activate(conv(h, self.features, f"upscale_{i}"))
        h = activate(conv(h, self.features, "refine"))
        return conv(h, self.channels, "tail")


_PAPER = "Wang et al., Real-ESRGAN, ICCV Workshops 2021"

VARIANTS = {
    "rrdbnet": Variant(build=RRDBNet, scales=(1, 2, 4), paper=_PAPER),
    "rrdbnet_6b": Variant(build=functools.partial(RRDBNet, blocks=6), scales=(4,), paper=_PAPER),
}
