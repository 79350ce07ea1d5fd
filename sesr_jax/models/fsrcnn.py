"""FSRCNN: Accelerating the Super-Resolution Convolutional Neural Network (Dong et al., ECCV 2016)."""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import PReLU
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode

_he = nn.initializers.he_normal()


class FSRCNN(nn.Module):
    """``[N, H, W, 1]`` in [0, 1] to ``[N, s·H, s·W, 1]``: FSRCNN(d, s, m) of the paper's §3.4.

    Attributes:
      scale: the upscaling factor, the stride of the last, transposed 9×9.
      features: d, the channels of the first and the last layer.
      shrunk: s, the channels of the mapping layers.
      mappings: m, the number of 3×3 mapping layers.
      mode: see `LinearConv`.
    """

    scale: int
    features: int = 56
    shrunk: int = 12
    mappings: int = 4
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, mode=self.mode)
        layers = [("extract", self.features, 5), ("shrink", self.shrunk, 1)]
        layers += [(f"map_{i}", self.shrunk, 3) for i in range(self.mappings)]
        layers += [("expand", self.features, 1)]
        h = x
        for name, features, size in layers:
            form = dense(size, start=_he)
            h = PReLU(name=f"{name}_prelu")(conv(features, form, name=name)(h))
        # The paper draws the last kernel from N(0, 0.001²), and the others as He et al. (2015) do.
        kernel = self.param(
            "deconv", nn.initializers.normal(1e-3), (9, 9, self.features, 1)
        ).astype(x.dtype)
        bias = self.param("deconv_bias", nn.initializers.zeros_init(), (1,)).astype(x.dtype)
        return ops.conv2d_transpose(h, kernel, bias, strides=(self.scale, self.scale))
