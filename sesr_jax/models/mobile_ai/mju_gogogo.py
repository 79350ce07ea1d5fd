"""The entry of the team mju_gogogo to the Mobile AI 2021 challenge (Ignatov et al. 2021).

The report describes a network like EDSR: six modules with spatial attention, a global skip, a 1×1 that
squeezes the features, three 3×3 and a depth-to-space; neither widths nor the size are public. Its
reconstruction on RGB:

    3×3 to 16  →  6 × (3×3, ReLU, 3×3, · attention, + its input)  →  + first feature map
        →  1×1 to 12  →  2 × (3×3, ReLU)  →  3×3 to 3·s²  →  pixels

Our choices: attention is one map for all channels, the sigmoid of a 3×3 (a mean over channels does not suit
an NPU that quantises per tensor); the widths make it about as large as the other entries.
"""

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import to_pixels
from sesr_jax.models.mobile_ai.report import REPORT_2021
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


class MjuGogogo(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: the channels of the modules.
      squeezed: the channels behind the 1×1.
      modules: the number of modules.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 16
    squeezed: int = 12
    modules: int = 6
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def conv(h: jax.Array, features: int, name: str, size: int = 3) -> jax.Array:
            return LinearConv(features, dense(size), self.mode, name=name)(h)

        h = shallow = conv(x, self.features, "head")
        for i in range(self.modules):
            inner = ops.relu(conv(h, self.features, f"module_{i}_first"))
            inner = conv(inner, self.features, f"module_{i}_second")
            attention = ops.sigmoid(conv(inner, 1, f"module_{i}_attention"))
            h = ops.add(h, ops.mul(inner, attention))
        h = conv(ops.add(h, shallow), self.squeezed, "squeeze", size=1)
        for i in range(2):
            h = ops.relu(conv(h, self.squeezed, f"refine_{i}"))
        return to_pixels(conv(h, self.channels * self.scale**2, "tail"), self.scale)


VARIANTS = {"mju_gogogo": Variant(build=MjuGogogo, scales=(3,), paper=REPORT_2021)}
