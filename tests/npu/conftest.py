"""Networks as Graphs, with kernels of zeros: only sizes matter here."""

from collections.abc import Callable

import numpy as np
import pytest

from sesr_jax.graph import Graph, Node


class _Builder:
    """Appends nodes to a chain; `last` is the tensor that the next one reads."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.shapes = {"input": (1, height, width, channels)}
        self.nodes: list[Node] = []
        self.last = "input"

    def add(self, op: str, *args, shape, **attrs) -> str:
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(Node(name=name, op=op, args=args, attrs=attrs, shape=shape))
        self.shapes[name] = shape
        self.last = name
        return name

    def conv(self, features: int, size: int, activation: str | None = None) -> str:
        *space, channels = self.shapes[self.last]
        kernel = np.zeros((size, size, channels, features), np.int8)
        attrs = {"strides": (1, 1), "padding": "SAME", "groups": 1, "dilation": (1, 1)}
        self.add("conv2d", self.last, kernel, shape=(*space, features), **attrs)
        if activation:
            slope = {"slope": 0.1} if activation == "leaky_relu" else {}
            self.add(activation, self.last, shape=(*space, features), **slope)
        return self.last

    def depth_to_space(self, block: int) -> str:
        n, h, w, c = self.shapes[self.last]
        shape = (n, h * block, w * block, c // block**2)
        return self.add("depth_to_space", self.last, shape=shape, block=block)

    def graph(self) -> Graph:
        return Graph(
            input="input",
            input_shape=self.shapes["input"],
            nodes=tuple(self.nodes),
            output=self.last,
        )


def _sesr(blocks, scale, height, width, *, activation="relu", residual=True, features=16):
    b = _Builder(height, width, 1)
    first = b.conv(features, 5, activation)
    for _ in range(blocks):
        b.conv(features, 3, activation)
    if residual:
        b.add("add", b.last, first, shape=b.shapes[first])
    b.conv(scale**2, 5)
    for _ in range(scale.bit_length() - 1):
        b.depth_to_space(2)
    return b.graph()


def _fsrcnn(height, width):
    b = _Builder(height, width, 1)
    for features, size in ((56, 5), (12, 1), *[(12, 3)] * 4, (56, 1)):
        b.conv(features, size, "relu")
    kernel = np.zeros((9, 9, 56, 1), np.int8)
    shape = (1, 2 * height, 2 * width, 1)
    b.add("conv2d_transpose", b.last, kernel, shape=shape, strides=(2, 2))
    return b.graph()


@pytest.fixture(scope="session")
def fsrcnn() -> Callable[..., Graph]:
    return _fsrcnn


@pytest.fixture(scope="session")
def sesr() -> Callable[..., Graph]:
    return _sesr


@pytest.fixture
def builder() -> type[_Builder]:
    return _Builder
