"""The winner of the Mobile AI & AIM 2022 challenge, the team Z6 (Ignatov et al. 2022, arXiv:2211.05910).

Its abstract describes a skip that concatenates the input with an intermediate feature map (an element-wise
addition is slow on such NPUs), a weighted clipping against the error of INT8 conversion, and selective
reparameterisation; widths are not public. Its reconstruction on RGB, collapsed:

    3×3 to f, ReLU  →  m × (3×3, ReLU)  →  concat with the input  →  3×3 to f, ReLU
        →  3×3 to 3·s²  →  pixels  →  clip to [0, 1]

Our choices: the m convolutions between train as RepVGG's blocks without batch norms, and the others as plain
kernels; f and m make the INT8 file as large as the published 67 KB; the clip has no weights, since its form
is not public.
"""

import functools
from typing import Annotated

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import to_pixels
from sesr_jax.models.mobile_ai.report import REPORT_2022
from sesr_jax.models.variant import AtLeast, Channels, FormOption, Variant
from sesr_jax.reparam import LinearConv, dense, find_form, repvgg
from sesr_jax.reparam.linear_conv import Mode


class Z6(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: f.
      blocks: m.
      channels: C; 3 for RGB.
      form: the form of the m convolutions, or a name in `reparam.FORMS`, for ablations.
      mode: see `LinearConv`.
    """

    scale: int = 3
    features: int = 32
    blocks: Annotated[int, AtLeast(0)] = 4
    channels: Channels = 3
    form: FormOption = repvgg
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, mode=self.mode)
        form = find_form(self.form)(3)
        h = ops.relu(conv(self.features, dense(3), name="head")(x))
        for i in range(self.blocks):
            h = ops.relu(conv(self.features, form, name=f"block_{i}")(h))
        h = ops.relu(conv(self.features, dense(3), name="fuse")(ops.concat(h, x)))
        y = conv(self.channels * self.scale**2, dense(3), name="tail")(h)
        return ops.clip(to_pixels(y, self.scale), low=0.0, high=1.0)


VARIANTS = {"z6": Variant(build=Z6, scales=(3,), paper=REPORT_2022)}
