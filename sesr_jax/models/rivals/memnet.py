"""MemNet: A Persistent Memory Network for Image Restoration (Tai et al., ICCV 2017), as M6R6 on luma.

The image is enlarged bicubically first. Every convolution has a batch norm and a ReLU before it:

    3×3 to f  →  m memory blocks  →  3×3  →  + bicubic input

    memory block:  one residual block (3×3, 3×3, + its input), r times over
        →  concat of its r outputs, of the first feature map and of the outputs of all memory blocks before
        →  1×1 to f

The residual blocks of a memory block share their kernels, which count once as parameters and r times as MACs.
Batch norms have statistics and parameters of their own in each recursion, as in the authors' released files.
The tables print the elements of kernels as parameters. The paper also trains the outputs of all memory
blocks; the figures are those of one output.
"""

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.bicubic import MATLAB, resize_bicubically
from sesr_jax.models.layers import BatchNormLayer
from sesr_jax.models.published import read_rows
from sesr_jax.models.variant import Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode


def _activate(x: jax.Array, name: str) -> jax.Array:
    """Returns the ReLU of a batch norm, whose name ends in "norm"."""
    return ops.relu(BatchNormLayer(name=f"{name}_norm")(x))


class MemoryBlock(nn.Module):
    """A memory block.

    Attributes:
      recursions: r.
      mode: see `LinearConv`.
    """

    recursions: int
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, *memories: jax.Array) -> jax.Array:
        """Returns ``[N, H, W, C]`` of the memory blocks' outputs so far, which are as large."""
        features = memories[-1].shape[-1]
        convs = [LinearConv(features, dense(3), self.mode, name=f"conv_{i}") for i in range(2)]
        h, recent = memories[-1], []
        for r in range(self.recursions):
            y = h
            for i, conv in enumerate(convs):
                y = conv(_activate(y, f"recursion_{r}_{i}"))
            h = ops.add(y, h)
            recent.append(h)
        together = _activate(ops.concat(*recent, *memories), "gate")
        return LinearConv(features, dense(1), self.mode, name="gate")(together)


class MemNet(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    Attributes:
      scale: s.
      features: f.
      blocks: m.
      recursions: r.
      channels: C; 1 for Y.
      mode: see `LinearConv`.
    """

    scale: int = 2
    features: int = 64
    blocks: int = 6
    recursions: int = 6
    channels: Channels = 1
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        large = resize_bicubically(x, self.scale, MATLAB)
        head = LinearConv(self.features, dense(3), self.mode, name="head")
        memories = [head(_activate(large, "head"))]
        for i in range(self.blocks):
            block = MemoryBlock(self.recursions, self.mode, name=f"block_{i}")
            memories.append(block(*memories))
        tail = LinearConv(self.channels, dense(3), self.mode, name="tail")
        return ops.add(tail(_activate(memories[-1], "tail")), large)


VARIANTS = {
    "memnet": Variant(
        build=MemNet,
        scales=(2, 3, 4),
        paper="Tai et al., MemNet, ICCV 2017",
        figures=read_rows(
            "FALSR",
            """
model  scale params   MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
memnet     2    677 2662.4 37.78/0.9597 33.28/0.9142 32.08/0.8978 31.31/0.9195 -        -
""",
        ),
    )
}
