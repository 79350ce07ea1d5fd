"""LatticeNet: Towards Lightweight Image Super-Resolution with Lattice Block (Luo et al., ECCV 2020).

HaiYun's entry to AIM 2020. On RGB:

    - mean  →  3×3 to f  →  3×3  →  m blocks  →  backward fusion of their outputs  →  + first feature map
        →  3×3  →  3×3 to 3·s²  →  pixels  →  + mean

    block:  a = chain₁(x),  P = x + g(a)·a,  Q = a + g(x)·x
            b = chain₂(P),  P' = b + g(Q)·Q,  Q' = Q + g(b)·b  →  concat of P' and Q'  →  1×1
    chain:  3 × (3×3, LeakyReLU of slope 0.05) by way of 3·f / 4 channels
    g:      the mean of two gates per channel, from the means and from the standard deviations over the image,
            each by 1×1 to f / 16, ReLU, 1×1, sigmoid; every g has weights of its own
    fusion: from the last block's output to the first's: concat of (1×1 to f / 2, ReLU) of what there is so
            far, and of the output before

The subtraction and the addition of the mean are trained 1×1 convolutions. The standard deviation is unbiased.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import DIV2K_MEAN, Conv, to_pixels
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import Conv as ConvTerm
from sesr_jax.reparam import Form, LinearConv, Term, dense
from sesr_jax.reparam.linear_conv import Mode


def _shift(sign: float) -> Form:
    """Makes a 1×1 convolution that starts as the addition of ``sign · DIV2K_MEAN``."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        del key
        mean = DIV2K_MEAN if out_features == len(DIV2K_MEAN) else DIV2K_MEAN.mean(keepdims=True)
        return ConvTerm(jnp.eye(in_features)[None, None], sign * jnp.asarray(mean))

    return form


class Gate(nn.Module):
    """``[N, H, W, C] → [N, 1, 1, C]`` in (0, 1), from two statistics of the image."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns the mean of both gates."""
        features = x.shape[-1]

        def gate(statistic: jax.Array, name: str) -> jax.Array:
            h = ops.relu(Conv(features // 16, 1, name=f"{name}_squeeze")(statistic))
            return ops.sigmoid(Conv(features, 1, name=f"{name}_excite")(h))

        mean, deviation = ops.mean_and_deviation(x, unbiased=True)
        gates = ops.add(gate(mean, "mean"), gate(deviation, "deviation"))
        return ops.mul(gates, 0.5)


class LatticeBlock(nn.Module):
    """A block; `mode` as in `LinearConv`."""

    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        features = x.shape[-1]

        def chain(h: jax.Array, name: str) -> jax.Array:
            widths = (features - features // 4, features - features // 4, features)
            for i, width in enumerate(widths):
                h = LinearConv(width, dense(3), self.mode, name=f"{name}_{i}")(h)
                h = ops.leaky_relu(h, slope=0.05)
            return h

        def gated(h: jax.Array, name: str) -> jax.Array:
            return ops.mul(h, Gate(name=name)(h))

        a = chain(x, "first")
        p, q = ops.add(x, gated(a, "first_gate")), ops.add(a, gated(x, "input_gate"))
        b = chain(p, "second")
        p, q = ops.add(b, gated(q, "lattice_gate")), ops.add(q, gated(b, "second_gate"))
        return LinearConv(features, dense(1), self.mode, name="fuse")(ops.concat(p, q))


class LatticeNet(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f, a multiple of 16.
      blocks: m.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 64
    blocks: int = 4
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def conv(h: jax.Array, features: int, name: str, form: Form) -> jax.Array:
            return LinearConv(features, form, self.mode, name=name)(h)

        h = conv(x, self.channels, "subtract_mean", _shift(-1))
        h = conv(h, self.features, "head", dense(3))
        h = shallow = conv(h, self.features, "body", dense(3))
        outputs = []
        for i in range(self.blocks):
            h = LatticeBlock(self.mode, name=f"block_{i}")(h)
            outputs.append(h)
        half = self.features // 2
        for i, output in enumerate(outputs[-2::-1]):
            left = ops.relu(conv(h, half, f"fusion_{i}_later", dense(1)))
            right = ops.relu(conv(output, half, f"fusion_{i}_earlier", dense(1)))
            h = ops.concat(left, right)
        h = conv(ops.add(h, shallow), self.features, "refine", dense(3))
        y = to_pixels(conv(h, self.channels * self.scale**2, "tail", dense(3)), self.scale)
        return conv(y, self.channels, "add_mean", _shift(1))


VARIANTS = {
    "latticenet": Variant(
        build=LatticeNet,
        scales=(2, 3, 4),
        paper="Luo et al., LatticeNet, ECCV 2020; figures of its weights as later papers print them",
        figures=read_rows(
            "LatticeNet",
            """
model      scale params MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
latticenet     4    777 43.6 32.18/0.8943 28.61/0.7812 27.57/0.7355 26.14/0.7844 -            -
""",
        ),
    )
}
