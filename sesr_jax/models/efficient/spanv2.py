"""SPANV2, the winner of NTIRE 2026 (XiaomiMM).

On RGB, without biases but for the gates':

    m blocks  →  concat of the near pixels and the last output  →  3×3 per channel  →  1×1 to 3·s²  →  pixels

    block:        3×3 to f, ReLU, 3×3, ReLU, 3×3 = a  →  ReLU in the first block;
                  (a + the block's input) · (1×1 of a) in all others
    near pixels:  3×3s of each colour alone, to s² channels, which start as copies of the colour

The gate is linear: it has no sigmoid. The blocks' 3×3s train as Conv3XC. The report's 9.11 G FLOPs include
the gates. Its activations and convolutions do not: the gates run inside an operation of the team's own.
"""

import functools
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.efficient.report import NTIRE_2026
from sesr_jax.models.layers import Conv, to_pixels
from sesr_jax.models.variant import FormOption, Variant
from sesr_jax.reparam import Form, LinearConv, conv3xc, dense, find_form
from sesr_jax.reparam.linear_conv import Mode

_plain = functools.partial(dense, bias=False)


def conv3xc_unbiased(kernel_size: int | tuple[int, int]) -> Form:
    """Makes Conv3XC without biases."""
    return conv3xc(kernel_size, conv=_plain)


def _start_as_copies(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """Initialises a kernel ``[3, 3, 1, features]`` as the pixel in its middle."""
    del key
    return jnp.zeros(shape, dtype).at[1, 1].set(1)


class GatedBlock(nn.Module):
    """A block; the fields are those of `SPANV2`."""

    features: int
    form: FormOption = conv3xc_unbiased
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, f]``; the gate stands where C is f."""
        conv = functools.partial(LinearConv, self.features, find_form(self.form)(3), self.mode)
        h = ops.relu(conv(name="conv_1")(ops.relu(conv(name="conv_0")(x))))
        h = conv(name="conv_2")(h)
        if x.shape[-1] != self.features:
            return ops.relu(h)
        gate = LinearConv(self.features, dense(1), self.mode, name="gate")(h)
        return ops.mul(ops.add(h, x), gate)


class SPANV2(nn.Module):
    """``[N, H, W, 3]`` in [0, 1] to ``[N, s·H, s·W, 3]``, not clipped.

    Attributes:
      scale: s.
      features: f.
      blocks: m.
      form: the form of the blocks' 3×3 convolutions, or a name in `reparam.FORMS`.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 32
    blocks: int = 5
    form: FormOption = conv3xc_unbiased
    mode: Mode = "collapsed"

    channels: ClassVar[Literal[3]] = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        h, pixels = x, self.channels * self.scale**2
        for i in range(self.blocks):
            h = GatedBlock(self.features, self.form, self.mode, name=f"block_{i}")(h)
        grouped = functools.partial(Conv, size=3, biased=False)
        near = grouped(pixels, groups=self.channels, start=_start_as_copies, name="near")(x)
        h, width = ops.concat(near, h), pixels + self.features
        h = grouped(width, groups=width, name="depthwise")(h)
        return to_pixels(LinearConv(pixels, _plain(1), self.mode, name="tail")(h), self.scale)


VARIANTS = {"spanv2": Variant(build=SPANV2, scales=(4,), paper=NTIRE_2026)}
