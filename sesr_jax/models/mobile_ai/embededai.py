"""The entry of the team EmbededAI to the Mobile AI 2021 challenge (Ignatov et al. 2021).

The report describes a plain network whose convolutions train as identity + 1×1 + 3×3 and collapse, with a
clipped ReLU at the end; neither widths nor the size are public. Its reconstruction on RGB, collapsed:

    3×3 to f, ReLU  →  m × (3×3, ReLU)  →  3×3 to 3·s²  →  pixels  →  clip to [0, 1]

Our choices: f = 28 and m = 4 are those of ABPN, since all entries are about as large; there is no long
residual, since the report calls the network plain; the first and the last convolution, which change the
number of channels, have no identity.
"""

from typing import Annotated

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import to_pixels
from sesr_jax.models.mobile_ai.report import REPORT_2021
from sesr_jax.models.variant import AtLeast, Channels, FormOption, Variant
from sesr_jax.reparam import LinearConv, find_form, repvgg
from sesr_jax.reparam.linear_conv import Mode


class EmbededAI(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: f.
      blocks: m.
      channels: C; 3 for RGB.
      form: the form of the convolutions, or a name in `reparam.FORMS`, for ablations.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 28
    blocks: Annotated[int, AtLeast(0)] = 4
    channels: Channels = 3
    form: FormOption = repvgg
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        form = find_form(self.form)(3)
        h = x
        for name in ("head", *(f"block_{i}" for i in range(self.blocks))):
            h = ops.relu(LinearConv(self.features, form, self.mode, name=name)(h))
        y = LinearConv(self.channels * self.scale**2, form, self.mode, name="tail")(h)
        return ops.clip(to_pixels(y, self.scale), low=0.0, high=1.0)


VARIANTS = {"embededai": Variant(build=EmbededAI, scales=(3,), paper=REPORT_2021)}
