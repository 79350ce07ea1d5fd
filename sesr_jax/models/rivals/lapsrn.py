"""LapSRN: Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution (Lai et al., CVPR 2017).

On luma, with LeakyReLUs of slope 0.2. Each level doubles the features and the image:

    features:  3×3 to f, LeakyReLU  →  of each level:  m × (3×3, LeakyReLU), transposed 3×3 ×2, LeakyReLU
    image:     of each level:  transposed 4×4 ×2 of the image  +  3×3 of the level's features

The tables print 813 K parameters and 29.9 G MACs at ×2. These are the parameters of ×4, and the MACs of an
output of 640×360. The network of ×2 has 407 K and takes 119.6 G for 1280×720.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import ConvTranspose
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


def _start_bilinear(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """Initialises a transposed kernel ``[4, 4, C, C]`` of stride 2 as bilinear interpolation."""
    del key
    line = np.array([1, 3, 3, 1]) / 4
    return jnp.asarray(np.outer(line, line)[..., None, None] * np.eye(shape[-1]), dtype)


class LapSRN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s, a power of 2.
      features: f.
      layers: m.
      channels: C; 1 for Y.
      mode: see `LinearConv`.
    """

    scale: int = 2
    features: int = 64
    layers: int = 10
    channels: Channels = 1
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, form=dense(3), mode=self.mode)
        activate = functools.partial(ops.leaky_relu, slope=0.2)
        h, image = activate(conv(self.features, name="head")(x)), x
        for level in range(int(math.log2(self.scale))):
            for i in range(self.layers):
                h = activate(conv(self.features, name=f"level_{level}_conv_{i}")(h))
            enlarge = ConvTranspose(self.features, 3, stride=2, name=f"level_{level}_enlarge")
            h = activate(enlarge(h))
            enlarge = ConvTranspose(
                self.channels,
                4,
                stride=2,
                start=_start_bilinear,
                biased=False,
                name=f"level_{level}_image",
            )
            residual = conv(self.channels, name=f"level_{level}_residual")(h)
            image = ops.add(enlarge(image), residual)
        return image


VARIANTS = {
    "lapsrn": Variant(
        build=LapSRN,
        scales=(2, 4),
        paper="Lai et al., LapSRN, CVPR 2017",
        figures=(
            *read_rows(
                "FALSR",
                """
model  scale params MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
lapsrn     2    813 29.9 37.52/0.9590 33.08/0.9130 31.80/0.8950 30.41/0.9100 -            -
""",
            ),
            *read_rows(
                "SESR",
                """
model  scale params  MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
lapsrn     4    813 149.4 31.54/0.8850 28.19/0.7720 27.32/0.7280 25.21/0.7560 29.09/0.8900 29.88/0.8250
""",
            ),
        ),
    )
}
