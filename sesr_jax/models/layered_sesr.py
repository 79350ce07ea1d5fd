"""SESR with layers of their own sizes: what a search over SESR's networks makes, and ABPN's plain kind.

SESR's paper searches for the number of channels and the kernels of each layer, even and asymmetric ones
included (Bhardwaj et al., MLSys 2022). Here a name such as "2x3_16" stands for a layer with a kernel 2 high
and 3 wide, and 16 channels at its end:

    first layer  →  the other layers, each with its activation  →  + first map  →  last layer to s²
        →  + input  →  pixels

With the default options this is SESR-M5 in its hardware form, variable by variable.
"""

import functools
import re
from typing import Annotated, Literal

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.models.layers import PReLU, anchor, to_pixels
from sesr_jax.models.variant import AtLeast, Channels, FormOption, Variant
from sesr_jax.reparam import LinearConv, collapsible, find_form, with_residual
from sesr_jax.reparam.linear_conv import Mode

_MOST = 64
_LARGEST = 15
_WIDEST = 1024

Size = tuple[int, int]


@functools.cache
def parse_kernel(text: str) -> Size:
    """Returns (height, width) for "2x3".

    Raises:
      InputError: it is no kernel size, or one above 15.
    """
    match = re.fullmatch(r"(\d{1,2})x(\d{1,2})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= _LARGEST for side in size):
        raise InputError(
            f"{text!r} is no kernel: it must be height x width, as in 2x3, each from 1 to {_LARGEST}."
        )
    return size


def parse_layers(text: str) -> tuple[tuple[Size, int], ...]:
    """Returns kernel and channels of each layer that names such as "5x5_16 2x3_12" stand for.

    Raises:
      InputError: a name is none of a layer, or there is none at all.
    """
    layers = []
    for name in text.split():
        kernel, _, features = name.partition("_")
        if not (features.isdecimal() and 1 <= int(features[:5]) <= _WIDEST):
            raise InputError(
                f"{name!r} is no layer: it must be a kernel and from 1 to {_WIDEST} channels, as in 3x3_16."
            )
        layers.append((parse_kernel(kernel), int(features)))
    if not 1 <= len(layers) <= _MOST:
        raise InputError(f"{len(layers)} layers: there must be from 1 to {_MOST}, as in 5x5_16.")
    return tuple(layers)


class LayeredSESR(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``.

    Attributes:
      scale: s.
      layers: the names of all layers but the last, with blanks between.
      tail: the kernel of the last layer.
      activation: behind all layers but the first and the last; "prelu" or "relu".
      head_activation: whether it follows the first layer too.
      short_residual: adds its input, inside the kernel, to each layer between whose channels agree.
      long_residual: adds the first map to the last one, where their channels agree.
      input_residual: adds the input to every output phase.
      form: the form of the convolutions: a name in `reparam.FORMS`, or a function from the kernel size.
      expansion: the channels inside a collapsible linear block; other forms have their own.
      channels: C; 1 for Y, 3 for RGB.
      centre: the grey that is subtracted from the input before the first layer, as in `SESR`; 0 for none.
      clip: whether the output is clipped to [0, 1], in training too.
      mode: see `LinearConv`.
    """

    scale: int = 2
    layers: str = "5x5_16 3x3_16 3x3_16 3x3_16 3x3_16 3x3_16"
    tail: str = "5x5"
    activation: Literal["prelu", "relu"] = "relu"
    head_activation: bool = False
    short_residual: bool = True
    long_residual: bool = True
    input_residual: bool = False
    form: FormOption = "collapsible"
    expansion: Annotated[int, AtLeast(1)] = 256
    channels: Channels = 1
    centre: float = 128 / 255
    clip: bool = False
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""
        form = find_form(self.form)
        if form is collapsible:
            form = functools.partial(collapsible, expansion=self.expansion)
        conv = functools.partial(LinearConv, mode=self.mode)
        (kernel, features), *others = parse_layers(self.layers)

        def activate(h: jax.Array, name: str) -> jax.Array:
            return PReLU(name=name)(h) if self.activation == "prelu" else ops.relu(h)

        h = ops.add(x, -self.centre) if self.centre else x
        h = conv(features, form(kernel), name="head")(h)
        if self.head_activation:
            h = activate(h, "head_prelu")
        shallow = h
        for i, (kernel, features) in enumerate(others):
            block = form(kernel)
            if self.short_residual and features == h.shape[-1]:
                block = with_residual(block)
            h = activate(conv(features, block, name=f"block_{i}")(h), f"prelu_{i}")
        if self.long_residual and others and h.shape[-1] == shallow.shape[-1]:
            h = ops.add(h, shallow)
        last = self.channels * self.scale**2
        y = conv(last, form(parse_kernel(self.tail)), name="tail")(h)
        if self.input_residual:
            y = ops.add(y, x if self.channels == 1 else anchor(x, self.scale))
        y = to_pixels(y, self.scale)
        return ops.clip(y, low=0.0, high=1.0) if self.clip else y


def count_parameters(
    layers: str, tail: str, *, activation: str = "relu", scale: int, channels: int = 1
) -> int:
    """Returns the parameters of a collapsed `LayeredSESR` without `head_activation`; it is not made."""
    sizes = [*parse_layers(layers), (parse_kernel(tail), channels * scale**2)]
    found, before = 0, channels
    for (height, width), features in sizes:
        found += height * width * before * features + features
        before = features
    slopes = sum(features for _, features in sizes[1:-1])
    return found + (slopes if activation == "prelu" else 0)


VARIANTS = {
    "layered_sesr": Variant(
        build=LayeredSESR,
        scales=(2, 3, 4),
        paper="Bhardwaj et al., Collapsible Linear Blocks, MLSys 2022; layers by option",
    )
}
