"""QuickSRNet: Plain Single-Image Super-Resolution for Mobile (Berger et al., CVPR Workshops 2023).

A plain stack on RGB, every activation a clip to [0, 1]:

    3×3 to f, clip  →  m × (3×3, clip)  →  3×3 to 3·s² (+ the input, in the large one)  →  pixels, clip

Every convolution starts near the identity, so that the network starts near nearest-neighbour interpolation.
"""

import functools
from typing import Annotated, Any

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import anchor, to_pixels
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense, quicksrnet
from sesr_jax.reparam.linear_conv import Mode


class QuickSRNet(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: f.
      blocks: m.
      input_residual: whether the input is added to every output phase.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 32
    blocks: Annotated[int, AtLeast(0)] = 2
    input_residual: bool = False
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        h = x
        for name in ("head", *(f"block_{i}" for i in range(self.blocks))):
            h = LinearConv(self.features, quicksrnet(3), self.mode, name=name)(h)
            h = ops.clip(h, low=0.0, high=1.0)
        form = dense(3) if self.input_residual else quicksrnet(3)
        y = LinearConv(self.channels * self.scale**2, form, self.mode, name="tail")(h)
        if self.input_residual:
            y = ops.add(y, anchor(x, self.scale))
        return ops.clip(to_pixels(y, self.scale), low=0.0, high=1.0)


def _make_variant(**fields: Any) -> Variant:
    return Variant(
        build=functools.partial(QuickSRNet, **fields),
        scales=(3,),
        paper="Berger et al., QuickSRNet, CVPR Workshops 2023",
    )


VARIANTS = {
    "quicksrnet_small": _make_variant(),
    "quicksrnet_medium": _make_variant(blocks=5),
    "quicksrnet_large": _make_variant(features=64, blocks=11, input_residual=True),
}
