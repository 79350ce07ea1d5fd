"""ESRN: Efficient Residual Dense Block Search for Image Super-Resolution (Song et al., AAAI 2020).

The body is RDN's, made of blocks that an evolutionary search chose. On RGB:

    3×3 to f  →  3×3  →  blocks, one after the other  →  concat of their outputs  →  1×1, 3×3
        →  + the first map  →  3×3 to 3·f  →  pixels  →  3×3 to 3     (×4: twice 3×3 to 4·f and pixels)

A name such as "G_8_16_24" stands for a block of 8 convolutions of 16 channels each, with 24 channels at its
end. Its kind is one of:

- S, shrink: each 3×3 reads a 1×1 of all that comes before it in the block.
- G, group: each 3×3 reads all that comes before it in the block, shuffled, in up to 4 groups.
- C, contextual: as S at half the height and width, where each 3×3 is applied three times.

All add their input, and a 1×1 stands wherever two numbers of channels differ. The paper's networks are not
public; the variant here is the example in the documentation of the authors' code (huawei-noah/vega). At ×3
that code does not run: its 3·f channels make no whole number of pixels, and here they are rounded down.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator
from typing import Annotated, Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.models.layers import conv, to_pixels
from sesr_jax.models.variant import AtLeast, Channels, Variant
from sesr_jax.reparam import LinearConv, dense
from sesr_jax.reparam.linear_conv import Mode

EXAMPLE = (
    "G_8_16_24 C_8_16_16 G_4_16_24 G_8_16_16 S_4_24_32 C_8_16_48 S_4_16_24 G_6_16_24 G_8_16_16 C_8_16_24 "
    "S_8_16_16 S_8_16_24 S_8_16_32 S_6_16_16 G_6_16_64 G_8_16_16 S_8_16_32"
)
"""The network of 17 blocks in the documentation of the authors' code."""

_MOST = 64
"""The most blocks of a network, and the most convolutions of a block."""

_WIDEST = 1024


@dataclasses.dataclass(frozen=True)
class Block:
    """A block by its name.

    Attributes:
      kind: "S", "G" or "C".
      convolutions: the number of its 3×3 convolutions.
      growth: the channels of each.
      features: the channels at its end.
    """

    kind: Literal["S", "G", "C"]
    convolutions: int
    growth: int
    features: int


def parse_blocks(text: str) -> tuple[Block, ...]:
    """Returns the blocks that names such as "G_8_16_24 S_4_24_32" stand for.

    Raises:
      InputError: a name is none of a block, or there is none at all.
    """
    blocks = tuple(_parse_block(name) for name in text.split())
    if not 1 <= len(blocks) <= _MOST:
        raise InputError(f"{len(blocks)} blocks: there must be from 1 to {_MOST}, as in G_8_16_24.")
    return blocks


@functools.cache
def _parse_block(name: str) -> Block:
    match = re.fullmatch(r"([SGC])_(\d{1,4})_(\d{1,4})_(\d{1,4})", name)
    if not match:
        raise InputError(
            f"{name!r} is no block: it must be kind, convolutions, growth and output channels, as in "
            "G_8_16_24, with the kind S, G or C."
        )
    kind, (convolutions, growth, features) = match[1], map(int, match.groups()[1:])
    if not (1 <= convolutions <= _MOST and 1 <= growth <= _WIDEST and 1 <= features <= _WIDEST):
        raise InputError(
            f"the block {name!r} must have from 1 to {_MOST} convolutions and from 1 to {_WIDEST} channels."
        )
    if kind != "S" and growth % 4:
        raise InputError(
            f"the block {name!r} has a growth of {growth}: that of the kind {kind} must be a multiple of 4."
        )
    return Block(kind, convolutions, growth, features)  # type: ignore[arg-type]


def _count_groups(position: int) -> int:
    """Returns the groups of the 3×3 that reads `position` maps in a block of the kind G."""
    return min(4, 1 << (position.bit_length() - 1))


class ResidualDenseBlock(nn.Module):
    """A block of ESRN; `mode` as in `LinearConv`."""

    block: Block
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, features]``; with the kind C, H and W are even."""
        block, channels = self.block, x.shape[-1]
        narrow = x if channels == block.growth else self._mix(x, block.growth, "enter")
        y = {"S": self._shrink, "G": self._group, "C": self._contextual}[block.kind](narrow)
        if block.features == channels:
            return ops.add(x, y)
        if block.features == block.growth:
            return ops.add(narrow, y)
        return ops.add(self._mix(x, block.features, "skip"), y)

    def _mix(self, x: jax.Array, features: int, name: str) -> jax.Array:
        return LinearConv(features, dense(1), self.mode, name=name)(x)

    def _shrink(self, x: jax.Array) -> jax.Array:
        together = h = x
        for i in range(self.block.convolutions):
            h = ops.relu(LinearConv(self.block.growth, dense(3), self.mode, name=f"conv_{i}")(h))
            together = ops.concat(together, h)
            h = self._mix(together, self._width_after(i), f"shrink_{i}")
        return h

    def _group(self, x: jax.Array) -> jax.Array:
        growth = self.block.growth
        for i in range(self.block.convolutions):
            h = ops.channel_shuffle(x, groups=i + 1) if i else x
            names = (f"kernel_{i}", f"bias_{i}")
            h = conv(self, h, growth, 3, groups=_count_groups(i + 1), names=names)
            x = ops.concat(x, ops.relu(h))
        return self._mix(x, self.block.features, "fuse")

    def _contextual(self, x: jax.Array) -> jax.Array:
        together = h = ops.average_pool(x, window=(2, 2), strides=(2, 2))
        for i in range(self.block.convolutions):
            layer = LinearConv(self.block.growth, dense(3), self.mode, name=f"conv_{i}")
            for _ in range(3):
                h = ops.relu(layer(h))
            together = ops.concat(together, h)
            if i == self.block.convolutions - 1:
                # Four neighbouring channels become a pixel's; `depth_to_space` takes distant ones.
                shuffled = ops.channel_shuffle(together, groups=together.shape[-1] // 4)
                together = ops.depth_to_space(shuffled, block=2)
            h = self._mix(together, self._width_after(i), f"shrink_{i}")
        return h

    def _width_after(self, i: int) -> int:
        """Returns the channels of the 1×1 behind convolution `i`."""
        last = i == self.block.convolutions - 1
        return self.block.features if last else self.block.growth


class ESRN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``, not clipped.

    H and W are even where there is a block of the kind C.

    Attributes:
      scale: s.
      features: f.
      blocks: the names of the blocks, with blanks between.
      channels: C; 3 for RGB.
      mode: see `LinearConv`.
    """

    scale: int = 2
    features: Annotated[int, AtLeast(3)] = 32
    blocks: str = EXAMPLE
    channels: Channels = 3
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def linear(h: jax.Array, features: int, name: str, size: int = 3) -> jax.Array:
            return LinearConv(features, dense(size), self.mode, name=name)(h)

        shallow = linear(x, self.features, "head")
        h, outputs = linear(shallow, self.features, "second"), []
        for i, block in enumerate(parse_blocks(self.blocks)):
            h = ResidualDenseBlock(block, self.mode, name=f"block_{i}")(h)
            outputs.append(h)
        h = linear(ops.concat(*outputs), self.features, "fuse", size=1)
        h = ops.add(linear(h, self.features, "body"), shallow)
        for i, (factor, features) in enumerate(_list_enlargements(self.scale, self.features)):
            h = to_pixels(linear(h, factor**2 * features, f"enlarge_{i}"), factor)
        return linear(h, self.channels, "tail")


def _list_enlargements(scale: int, features: int) -> tuple[tuple[int, int], ...]:
    """Returns the factor of each enlargement and the channels behind it."""
    return ((2, features),) * 2 if scale == 4 else ((scale, 3 * features // scale**2),)


def count_parameters(
    blocks: tuple[Block, ...], *, scale: int, features: int = 32, channels: int = 3
) -> int:
    """Returns the parameters of an `ESRN`, biases included, without making it."""
    outputs = [block.features for block in blocks]
    kernels = [(3, channels, features), (3, features, features), (3, features, features)]
    kernels.append((1, sum(outputs), features))
    width = features
    for factor, after in _list_enlargements(scale, features):
        kernels.append((3, width, factor**2 * after))
        width = after
    kernels.append((3, width, channels))
    for block, before in zip(blocks, [features, *outputs], strict=False):
        kernels += _list_kernels(block, before)
    return sum(side**2 * inside * after + after for side, inside, after in kernels)


def _list_kernels(block: Block, before: int) -> Iterator[tuple[int, int, int]]:
    """Yields side, inputs of a group, and outputs of each convolution of a block behind `before` channels."""
    growth, after = block.growth, block.features
    if before != growth:
        yield 1, before, growth
    if after not in (growth, before):
        yield 1, before, after
    for i in range(1, block.convolutions + 1):
        last = i == block.convolutions
        yield 3, i * growth // _count_groups(i) if block.kind == "G" else growth, growth
        if block.kind != "G" or last:
            inside = (i + 1) * growth // (4 if last and block.kind == "C" else 1)
            yield 1, inside, after if last else growth


VARIANTS = {
    "esrn": Variant(
        build=ESRN,
        scales=(2, 3, 4),
        paper="Song et al., Efficient Residual Dense Block Search, AAAI 2020",
    )
}
