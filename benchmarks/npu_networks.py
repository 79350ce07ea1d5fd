"""Builds the networks whose latency is compared with vendors' figures, as layers."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from sesr_jax.graph import eval_shapes
from sesr_jax.models.network import init
from sesr_jax.npu import Layer, layers_from_graph

_BIAS = 4


class Chain:
    """A chain of layers as it is built. Only sizes matter here, so that there are no weights."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.layers: list[Layer] = []
        self.last, self.shape = "input", (1, height, width, channels)

    def add(self, op: str, shape: Sequence[int], other: str | None = None, **fields: Any) -> str:
        """Appends a layer, which may read a second tensor of the same shape as the first."""
        names = [self.last] if other is None else [self.last, other]
        name = f"{len(self.layers)}_{op}"
        self.layers.append(
            Layer(
                name=name,
                op=op,
                inputs=tuple(names),
                input_shapes=(self.shape,) * len(names),
                output=name,
                output_shape=tuple(shape),
                **fields,
            )
        )
        self.last, self.shape = name, tuple(shape)
        return name

    def conv(
        self,
        features: int,
        size: int,
        activation: str | None = None,
        groups: int = 1,
        stride: int = 1,
    ) -> str:
        """Appends a convolution."""
        n, h, w, c = self.shape
        h, w = -(-h // stride), -(-w // stride)
        taps = size * size * c // groups
        return self.add(
            "conv2d",
            (n, h, w, features),
            kernel=(size, size),
            strides=(stride, stride),
            groups=groups,
            weight_bytes=features * (taps + _BIAS),
            macs=h * w * features * taps,
            activation=activation,
            activation_bytes=features if activation == "prelu" else 0,
        )

    def depth_to_space(self, block: int) -> str:
        """Appends a depth_to_space."""
        n, h, w, c = self.shape
        return self.add("depth_to_space", (n, h * block, w * block, c // block**2))


def build_network(name: str, height: int, width: int) -> list[Layer]:
    """Returns the layers of a network by its name in the vendor's table, or in `_OTHERS`."""
    family, *fields = name.split("_")
    if family == "conv":
        channels, features, size = map(int, fields)
        b = Chain(height, width, channels)
        b.conv(features, size, "relu")
        return b.layers
    if family == "sesr":
        return _sesr(fields, height, width)
    return _OTHERS[name](height, width)


def _sesr(fields: Sequence[str], height: int, width: int) -> list[Layer]:
    blocks, scale, *options = fields
    activation = "leaky_relu" if "lrelu" in options else "relu"
    b = Chain(height, width, 1)
    first = b.conv(16, 5, activation)
    for _ in range(int(blocks[1:])):
        b.conv(16, 3, activation)
    if "nores" not in options:
        b.add("add", b.shape, first)
    b.conv(int(scale[1:]) ** 2, 5)
    for _ in range(int(scale[1:]).bit_length() - 1):
        b.depth_to_space(2)
    return b.layers


def _fsrcnn(height: int, width: int) -> list[Layer]:
    b = Chain(height, width, 1)
    for features, size in ((56, 5), (12, 1), *[(12, 3)] * 4, (56, 1)):
        b.conv(features, size, "relu")
    macs, weights = 81 * 56 * 4 * height * width, 81 * 56 + _BIAS
    shape = (1, 2 * height, 2 * width, 1)
    b.add("conv2d_transpose", shape, kernel=(9, 9), strides=(2, 2), weight_bytes=weights, macs=macs)
    return b.layers


def build_from_zoo(name: str, height: int, width: int) -> list[Layer]:
    """Returns the layers of a model of the zoo ×3, whose clip is a layer, as in the challenges."""

    def trace() -> list[Layer]:
        fresh = init(name, scale=3, key=jax.random.key(0))
        return list(layers_from_graph(fresh.trace((1, height, width, fresh.channels))))

    found = eval_shapes(trace)
    b = Chain(height, width, 3)
    b.layers, b.last, b.shape = found, found[-1].output, found[-1].output_shape
    b.add("clip", b.shape)
    return b.layers


def _general(height: int, width: int) -> list[Layer]:
    """Returns the layers of realesr-general-x4v3 (Real-ESRGAN's repository)."""
    b = Chain(height, width, 3)
    for _ in range(33):
        b.conv(64, 3, "prelu")
    b.conv(48, 3)
    b.depth_to_space(4)
    image, shape = b.last, b.shape
    b.last, b.shape = "input", (1, height, width, 3)
    b.add("resize", shape)
    b.add("add", shape, other=image)
    return b.layers


_OTHERS: dict[str, Callable[[int, int], list[Layer]]] = {
    "fsrcnn_x2": _fsrcnn,
    "abpn_x3": functools.partial(build_from_zoo, "abpn"),
    "xlsr_x3": functools.partial(build_from_zoo, "xlsr"),
    "realesr_general_x4": _general,
}
