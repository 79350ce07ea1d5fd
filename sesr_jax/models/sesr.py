"""SESR: Collapsible Linear Blocks for Super-Efficient Super Resolution (Bhardwaj et al., MLSys 2022).

Collapsed, the network is m + 2 convolutions and two long residuals, on the Y channel:

    5×5 to f  →  m × (3×3, activation)  →  + first feature map  →  5×5 to s²  →  + input  →  pixels

Each convolution trains as a collapsible linear block, and each 3×3 has its short residual inside.
"""

import functools
from typing import Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import PReLU, anchor, to_pixels
from sesr_jax.reparam import Factory, LinearConv, collapsible, find_form, with_residual
from sesr_jax.reparam.linear_conv import Mode


class SESR(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped; C is 1 in the paper.

    Attributes:
      scale: 2, 3 or 4 (×3 is not in the paper).
      features: f, the channels between the convolutions.
      blocks: m, the number of 3×3 convolutions.
      expansion: p, the channels inside a collapsible linear block; other forms have their own.
      activation: "prelu" (the paper's float networks), or "relu" (the hardware variant).
      short_residual: adds its input to each 3×3, inside the kernel; off for ablations only.
      input_residual: adds the input to every output phase; the hardware variant has none.
      channels: C; 1 for Y, 3 for RGB.
      centre: what is taken from the input before the first 5×5, so that its zero padding is a grey; 0 for
        nothing. Arm's code takes 0.5. The grey level 128 beside it is a code of an 8-bit image, so that
        INT8 centres without rounding.
      head_activation: whether the activation follows the first 5×5 too, as in AIMET's networks.
      form: what a convolution trains as, for ablations: a name in `reparam.FORMS`, or a function from
        its kernel size to its form.
      mode: see `LinearConv`.
    """

    scale: int
    features: int = 16
    blocks: int = 5
    expansion: int = 256
    activation: Literal["prelu", "relu"] = "prelu"
    short_residual: bool = True
    input_residual: bool = True
    channels: int = 1
    centre: float = 128 / 255
    head_activation: bool = False
    form: Factory | str = "collapsible"
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def activate(h: jax.Array, name: str) -> jax.Array:
            return PReLU(name=name)(h) if self.activation == "prelu" else ops.relu(h)

        form = find_form(self.form)
        if form is collapsible:
            form = functools.partial(collapsible, expansion=self.expansion)
        conv = functools.partial(LinearConv, mode=self.mode)
        block = with_residual(form(3)) if self.short_residual else form(3)
        h = conv(self.features, form(5), name="head")(
            ops.add(x, -self.centre) if self.centre else x
        )
        if self.head_activation:
            h = activate(h, "head_prelu")
        shallow = h
        for i in range(self.blocks):
            h = conv(self.features, block, name=f"block_{i}")(h)
            h = activate(h, f"prelu_{i}")
        y = conv(self.channels * self.scale**2, form(5), name="tail")(ops.add(h, shallow))
        if self.input_residual:
            # One channel is broadcast to all phases; several are repeated, phase by phase.
            y = ops.add(y, x if self.channels == 1 else anchor(x, self.scale))
        return to_pixels(y, self.scale)
