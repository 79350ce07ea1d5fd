"""ECBSR: Edge-oriented Convolution Block for Real-time Super Resolution (Zhang et al., ACM MM 2021).

Collapsed, the network is M + 2 convolutions and one residual, on the Y channel:

    3×3 to C, activation  →  M × (3×3, activation)  →  3×3 to s²  →  + input  →  pixels

Each convolution trains as an edge-oriented convolution block, `reparam.ecb`.
"""

import functools
from typing import Annotated, ClassVar, Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import PReLU, to_pixels
from sesr_jax.models.variant import AtLeast, FormOption, Variant
from sesr_jax.reparam import LinearConv, ecb, find_form, with_residual
from sesr_jax.reparam.linear_conv import Mode


class ECBSR(nn.Module):
    """``[N, H, W, 1]`` in [0, 1] to ``[N, s·H, s·W, 1]``, not clipped: ECBSR-M`blocks`C`features`.

    Attributes:
      scale: the scale factor.
      features: C, the channels between the convolutions.
      blocks: M, the number of convolutions between the first and the last.
      activation: "prelu" (the paper's), or "relu" for small NPUs.
      residual: whether convolutions with as many input as output channels have an identity branch; the
        released networks have none.
      form: the form of the convolutions, for ablations: a function from the kernel size to the form, or a
        name in `reparam.FORMS`.
      mode: see `LinearConv`.
    """

    scale: int
    features: int = 16
    blocks: Annotated[int, AtLeast(0)] = 4
    activation: Literal["prelu", "relu"] = "prelu"
    residual: bool = False
    form: FormOption = ecb
    mode: Mode = "collapsed"

    channels: ClassVar[int] = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        linear = functools.partial(LinearConv, mode=self.mode)
        form = find_form(self.form)(3)

        def conv(h: jax.Array, features: int, name: str) -> jax.Array:
            residual = self.residual and h.shape[-1] == features
            return linear(features, with_residual(form) if residual else form, name=name)(h)

        h = x
        for name in ("head", *(f"block_{i}" for i in range(self.blocks))):
            h = conv(h, self.features, name)
            h = PReLU(name=f"{name}_prelu")(h) if self.activation == "prelu" else ops.relu(h)
        return to_pixels(ops.add(conv(h, self.scale**2, "tail"), x), self.scale)


def _make_variant(features: int, blocks: int) -> Variant:
    return Variant(
        build=functools.partial(ECBSR, features=features, blocks=blocks),
        scales=(2, 3, 4),
        paper="Zhang et al., Edge-oriented Convolution Block, ACM Multimedia 2021",
    )


VARIANTS = {
    "ecbsr_m4c8": _make_variant(features=8, blocks=4),
    "ecbsr_m4c16": _make_variant(features=16, blocks=4),
    "ecbsr_m10c32": _make_variant(features=32, blocks=10),
    "ecbsr_m16c64": _make_variant(features=64, blocks=16),
}
