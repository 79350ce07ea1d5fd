"""CARN and CARN-M: Fast, Accurate, and Lightweight Super-Resolution (Ahn et al., ECCV 2018).

On RGB:

    - mean  →  3×3 to f  →  cascade of 3 cascading blocks
        →  enlargement: 3×3 to 4·f, ReLU, pixels (×3: to 9·f; ×4: twice)  →  3×3  →  + mean

    cascade:          each part's output is joined to all before it, the input included, and a 1×1 to f with
                      ReLU makes of them what the next part reads
    cascading block:  a cascade of 3 residual blocks
    residual block:   3×3, ReLU, 3×3  →  + its input  →  ReLU

In CARN-M, the mobile form, the 3×3s of residual blocks and enlargement have 4 groups, a ReLU and a 1×1 end
the residual block, and the 3 residual blocks of a cascading block are one, used three times.

The tables print 1,592 K and 412 K parameters: those of one network with the enlargements of ×2, ×3 and ×4. A
network here has the enlargement of its own scale factor. The MACs are those that the tables print.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import DIV2K_MEAN, Conv, list_shuffle_blocks
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import AtLeast, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode

_PARTS = 3
"""The parts of a cascade."""


class ResidualBlock(nn.Module):
    """A residual block, with a 1×1 at its end where there are groups.

    Attributes:
      groups: of the 3×3 convolutions.
      mode: see `LinearConv`.
    """

    groups: int = 1
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        conv = functools.partial(_make_conv, x.shape[-1], groups=self.groups, mode=self.mode)
        h = conv(name="conv_1")(ops.relu(conv(name="conv_0")(x)))
        if self.groups > 1:
            h = LinearConv(x.shape[-1], dense(1), self.mode, name="mix")(ops.relu(h))
        return ops.relu(ops.add(h, x))


class CascadingBlock(nn.Module):
    """A cascading block; the fields are those of `ResidualBlock`."""

    groups: int = 1
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        count = 1 if self.groups > 1 else _PARTS
        blocks = [ResidualBlock(self.groups, self.mode, name=f"block_{i}") for i in range(count)]
        return _cascade(x, (blocks * _PARTS)[:_PARTS], self.mode)


class CARN(nn.Module):
    """``[N, H, W, 3]`` in [0, 1] to ``[N, s·H, s·W, 3]``, not clipped.

    Attributes:
      scale: s.
      features: f, a multiple of `groups`.
      groups: 1 makes CARN, and more make the mobile form.
      mode: see `LinearConv`.
    """

    scale: int = 2
    features: int = 64
    groups: Annotated[int, AtLeast(1)] = 1
    mode: Mode = "collapsed"

    channels: ClassVar[Literal[3]] = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        h = LinearConv(self.features, dense(3), self.mode, name="head")(ops.sub(x, DIV2K_MEAN))
        blocks = [CascadingBlock(self.groups, self.mode, name=f"part_{i}") for i in range(_PARTS)]
        h = _cascade(h, blocks, self.mode)
        for i, block in enumerate(list_shuffle_blocks(self.scale)):
            conv = _make_conv(
                self.features * block**2, groups=self.groups, mode=self.mode, name=f"enlarge_{i}"
            )
            h = ops.relu(conv(h))
            if self.groups > 1:
                # A group gives all pixels of its channels; `depth_to_space` would take one of each group.
                h = ops.channel_shuffle(h, groups=self.features)
            h = ops.depth_to_space(h, block=block)
        return ops.add(LinearConv(self.channels, dense(3), self.mode, name="tail")(h), DIV2K_MEAN)


def _make_conv(features: int, *, groups: int, mode: Mode, name: str) -> nn.Module:
    """Makes a 3×3 convolution, which trains a term where it has no groups."""
    if groups > 1:
        return Conv(features, 3, groups=groups, name=name)
    return LinearConv(features, dense(3), mode, name=name)


def _cascade(
    x: jax.Array, parts: Sequence[Callable[[jax.Array], jax.Array]], mode: Mode
) -> jax.Array:
    """Runs a cascade of `parts` on ``[N, H, W, C]``, and returns as much."""
    together = h = x
    for i, part in enumerate(parts):
        together = ops.concat(together, part(h))
        h = ops.relu(LinearConv(x.shape[-1], dense(1), mode, name=f"fuse_{i}")(together))
    return h


_PAPER = "Ahn et al., CARN, ECCV 2018"

VARIANTS = {
    "carn": Variant(
        build=CARN,
        scales=(2, 3, 4),
        paper=_PAPER,
        figures=read_rows(
            "FALSR",
            """
model scale params  MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
carn      2   1592 222.8 37.76/0.9590 33.52/0.9166 32.09/0.8978 31.92/0.9256 -        -
""",
        ),
    ),
    "carn_m": Variant(
        build=functools.partial(CARN, groups=4),
        scales=(2, 3, 4),
        paper=_PAPER,
        figures=(
            *read_rows(
                "FALSR",
                """
model  scale params MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
carn_m     2    412 91.2 37.53/0.9583 33.26/0.9141 31.92/0.8960 31.23/0.9194 -        -
""",
            ),
            *read_rows(
                "SESR",
                """
model  scale params MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
carn_m     4    412 32.5 31.92/0.8903 28.42/0.7762 27.44/0.7304 25.62/0.7694 -        -
""",
            ),
        ),
    ),
}
