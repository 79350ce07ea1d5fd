"""SESR: Collapsible Linear Blocks for Super-Efficient Super Resolution (Bhardwaj et al., MLSys 2022).

Collapsed, the network is m + 2 convolutions and two long residuals, on the Y channel:

    5×5 to f  →  m × (3×3, activation)  →  + first feature map  →  5×5 to s²  →  + input  →  pixels

Each convolution trains as a collapsible linear block, and each 3×3 has its short residual inside.
"""

import dataclasses
import functools
from typing import Annotated, Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import PReLU, anchor, to_pixels
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import AtLeast, Channels, FormOption, Variant
from sesr_jax.reparam import LinearConv, collapsible, find_form, with_residual
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
      centre: the grey that is subtracted from the input before the first 5×5, so that zero padding stands
        for it; 0 for none. Arm's code subtracts 0.5. The nearby grey level 128 is a code of 8-bit images,
        so that INT8 subtracts it without rounding.
      head_activation: whether the activation follows the first 5×5 too, as in AIMET's networks.
      form: the form of the convolutions, for ablations: a name in `reparam.FORMS`, or a function from
        the kernel size to the form.
      mode: see `LinearConv`.
    """

    scale: int
    features: int = 16
    blocks: Annotated[int, AtLeast(0)] = 5
    expansion: int = 256
    activation: Literal["prelu", "relu"] = "prelu"
    short_residual: bool = True
    input_residual: bool = True
    channels: Channels = 1
    centre: float = 128 / 255
    head_activation: bool = False
    form: FormOption = "collapsible"
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


_PAPER = "Bhardwaj et al., Collapsible Linear Blocks, MLSys 2022, Table 1"

_PUBLISHED = read_rows(
    "SESR",
    """
model       scale  params   MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
sesr_m3         2    8.91   2.05 37.21/0.9577 32.70/0.9100 31.56/0.8920 29.92/0.9034 36.47/0.9717 35.03/0.9373
sesr_m5         2   13.52   3.11 37.39/0.9585 32.84/0.9115 31.70/0.8938 30.33/0.9087 37.07/0.9734 35.24/0.9389
sesr_m7         2   18.12   4.17 37.47/0.9588 32.91/0.9118 31.77/0.8946 30.49/0.9105 37.14/0.9738 35.32/0.9395
sesr_m11        2   27.34   6.30 37.58/0.9593 33.03/0.9128 31.85/0.8956 30.72/0.9136 37.40/0.9746 35.45/0.9404
sesr_xl         2  105.37  24.27 37.77/0.9601 33.24/0.9145 31.99/0.8976 31.16/0.9184 38.01/0.9759 35.67/0.9420
sesr_m3         4   13.71   0.79 30.75/0.8714 27.62/0.7579 27.00/0.7166 24.61/0.7304 27.90/0.8644 29.52/0.8155
sesr_m5         4   18.32   1.05 30.99/0.8764 27.81/0.7624 27.11/0.7199 24.80/0.7389 28.29/0.8734 29.65/0.8189
sesr_m7         4   22.92   1.32 31.14/0.8787 27.88/0.7641 27.13/0.7209 24.90/0.7436 28.53/0.8778 29.72/0.8204
sesr_m11        4   32.14   1.85 31.27/0.8810 27.94/0.7660 27.20/0.7225 25.00/0.7466 28.73/0.8815 29.81/0.8221
sesr_xl         4  114.97   6.62 31.54/0.8866 28.12/0.7712 27.31/0.7277 25.31/0.7604 29.04/0.8901 29.94/0.8266
""",
)


def _make_variant(name: str, features: int, blocks: int, expansion: int) -> Variant:
    return Variant(
        build=functools.partial(SESR, features=features, blocks=blocks, expansion=expansion),
        scales=(2, 3, 4),
        paper=_PAPER,
        figures=tuple(row for row in _PUBLISHED if row.model == name),
    )


def _make_hardware_variant(variant: Variant) -> Variant:
    """Returns the hardware-friendly variant, with ReLU and no input residual; it has no published figures."""
    build = functools.partial(variant.build, activation="relu", input_residual=False)
    return dataclasses.replace(variant, build=build, figures=())


_SIZES = {
    "sesr_m3": _make_variant("sesr_m3", features=16, blocks=3, expansion=256),
    "sesr_m5": _make_variant("sesr_m5", features=16, blocks=5, expansion=256),
    "sesr_m7": _make_variant("sesr_m7", features=16, blocks=7, expansion=256),
    "sesr_m11": _make_variant("sesr_m11", features=16, blocks=11, expansion=64),
    "sesr_xl": _make_variant("sesr_xl", features=32, blocks=11, expansion=64),
}

VARIANTS = {
    **_SIZES,
    **{f"{name}_hw": _make_hardware_variant(variant) for name, variant in _SIZES.items()},
}
