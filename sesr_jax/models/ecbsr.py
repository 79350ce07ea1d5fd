"""ECBSR: Edge-oriented Convolution Block for Real-time Super Resolution (Zhang et al., ACM MM 2021).

Collapsed, the network is M + 2 convolutions and one residual, on the Y channel:

    3×3 to C, activation  →  M × (3×3, activation)  →  3×3 to s²  →  + input  →  pixels

Each convolution trains as an edge-oriented convolution block, `reparam.ecb`.
"""

import functools
from typing import Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import PReLU, to_pixels
from sesr_jax.reparam import Factory, LinearConv, ecb, named, with_residual
from sesr_jax.reparam.linear_conv import Mode


class ECBSR(nn.Module):
    """``[N, H, W, 1]`` in [0, 1] to ``[N, s·H, s·W, 1]``, not clipped: ECBSR-M`blocks`C`features`.

    Attributes:
      scale: the upscaling factor.
      features: C, the channels between the convolutions.
      blocks: M, the number of convolutions between the first and the last.
      activation: "prelu" (the paper's), or "relu" for small NPUs.
      residual: whether the identity is a branch of each of the M blocks; the released networks have none.
      form: makes a convolution's form from its kernel size, or a name in `reparam.FORMS`, for ablations.
      mode: see `LinearConv`.
    """

    scale: int
    features: int = 16
    blocks: int = 4
    activation: Literal["prelu", "relu"] = "prelu"
    residual: bool = False
    form: Factory | str = ecb
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, mode=self.mode)
        form = (named(self.form) if isinstance(self.form, str) else self.form)(3)
        body = with_residual(form) if self.residual else form
        h = x
        for name in ("head", *(f"block_{i}" for i in range(self.blocks))):
            h = conv(self.features, form if name == "head" else body, name=name)(h)
            h = PReLU(name=f"{name}_prelu")(h) if self.activation == "prelu" else ops.relu(h)
        y = conv(self.scale**2, form, name="tail")(h)
        return to_pixels(ops.add(y, x), self.scale)
