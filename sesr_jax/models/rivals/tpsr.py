"""TPSR: Journey Towards Tiny Perceptual Super-Resolution (Lee et al., ECCV 2020).

An evolutionary search chose these layers. On RGB:

    - mean  →  3×3 to f  →  the sum of three paths, PReLU  →  for ×4 twice: 3×3 to 3·4, pixels ×2  →  + mean

    paths:  trunk, 3×3, 5×5, separable 3×3   |   trunk, 3×3, 5×5, 3×3   |   7×7
    trunk:  separable 5×5, 7×7, 7×7, which the first two paths share

All convolutions of the paths have a PReLU behind them. A separable one is a convolution per channel without a
bias, a PReLU and a 1×1. The network was trained without a critic ("TPSR-NoGAN") and with two others; the
figures are those of the former. SESR's tables print 60 K parameters at ×2, which is cut off: the kernels have
60,560 weights, and 60,884 at ×4.
"""

import functools
from typing import ClassVar, Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import DIV2K_MEAN, Conv, PReLU, list_shuffle_blocks
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode

_TRUNK = ("5 separable", "7", "7")
_PATHS = {"main": ("3", "5", "3 separable"), "side": ("3", "5", "3"), "skip": ("7",)}


class Path(nn.Module):
    """Convolutions, one after the other.

    Attributes:
      layers: the size of each, and whether it is separable.
      mode: see `LinearConv`.
    """

    layers: tuple[str, ...]
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        features = x.shape[-1]
        conv = functools.partial(LinearConv, features, mode=self.mode)
        for i, layer in enumerate(self.layers):
            size, *separable = layer.split()
            if separable:
                each = Conv(
                    features, int(size), groups=features, biased=False, name=f"depthwise_{i}"
                )
                x = PReLU(name=f"depthwise_{i}_prelu")(each(x))
            form = dense(1 if separable else int(size))
            x = PReLU(name=f"conv_{i}_prelu")(conv(form=form, name=f"conv_{i}")(x))
        return x


class TPSR(nn.Module):
    """``[N, H, W, 3]`` in [0, 1] to ``[N, s·H, s·W, 3]``, not clipped.

    Attributes:
      scale: s, 2 or 4.
      features: f.
      mode: see `LinearConv`.
    """

    scale: int = 2
    features: int = 16
    mode: Mode = "collapsed"

    channels: ClassVar[Literal[3]] = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        conv = functools.partial(LinearConv, form=dense(3), mode=self.mode)
        shallow = conv(self.features, name="head")(ops.sub(x, DIV2K_MEAN))
        trunk = Path(_TRUNK, self.mode, name="trunk")(shallow)
        main, side, skip = (
            Path(layers, self.mode, name=name)(shallow if name == "skip" else trunk)
            for name, layers in _PATHS.items()
        )
        h = PReLU(name="prelu")(ops.add(ops.add(skip, side), main))
        for i, block in enumerate(list_shuffle_blocks(self.scale)):
            wide = conv(self.channels * block**2, name=f"enlarge_{i}")(h)
            h = ops.depth_to_space(wide, block=block)
        return ops.add(h, DIV2K_MEAN)


VARIANTS = {
    "tpsr": Variant(
        build=TPSR,
        scales=(2, 4),
        paper="Lee et al., TPSR, ECCV 2020; figures of TPSR-NoGAN",
        figures=read_rows(
            "SESR",
            """
model scale params MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
tpsr      2     60 14.0 37.38/0.9583 33.00/0.9123 31.75/0.8942 30.61/0.9119 -        -
tpsr      4     61  3.6 31.10/0.8779 27.95/0.7663 27.15/0.7214 24.97/0.7456 -        -
""",
        ),
    )
}
