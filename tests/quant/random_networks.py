"""Random small networks with random ranges, for laws about quantised arithmetic."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from hypothesis import strategies as st

from sesr_jax import ops
from sesr_jax.graph import Graph, Node
from sesr_jax.quant import Range, find_points

Draw = Callable[[st.SearchStrategy[Any]], Any]
LARGEST = 3000
"""Elements of a tensor."""


class Builder:
    """A graph under construction; every value is of the order of 1."""

    def __init__(self, draw: Draw, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        self.draw, self.rng = draw, rng
        self.shapes = {"input": shape}
        self.nodes: list[Node] = []

    def array(self, *shape: int, fan_in: int = 1) -> np.ndarray:
        return np.asarray(self.rng.normal(size=shape) / math.sqrt(fan_in), np.float32)

    def pick(self, suits: Callable[[tuple[int, ...]], bool] = lambda _: True) -> str | None:
        """One of the tensors whose shape suits, most often the last."""
        names = [name for name, shape in reversed(self.shapes.items()) if suits(shape)]
        return self.draw(st.sampled_from(names[:1] * 2 * len(names) + names)) if names else None

    def append(self, op: str, *args: str | np.ndarray, **given: Any) -> None:
        keywords = inspect.signature(ops.OPS[op]).parameters.values()
        defaults = {p.name: p.default for p in keywords if p.kind is p.KEYWORD_ONLY}
        attrs = defaults | given
        values = [
            jax.ShapeDtypeStruct(self.shapes[arg], np.float32) if isinstance(arg, str) else arg
            for arg in args
        ]
        shape = jax.eval_shape(lambda *xs: ops.OPS[op](*xs, **attrs), *values).shape
        if 0 < math.prod(shape) <= LARGEST:
            name = f"{op}_{len(self.nodes)}"
            self.nodes.append(Node(name=name, op=op, args=args, attrs=attrs, shape=shape))
            self.shapes[name] = shape

    def graph(self) -> Graph:
        """What the last tensor needs."""
        output = self.nodes[-1].name
        needed, kept = {output}, []
        for node in reversed(self.nodes):
            if node.name in needed:
                needed |= set(node.inputs)
                kept.append(node)
        return Graph(
            input="input",
            input_shape=self.shapes["input"],
            nodes=tuple(reversed(kept)),
            output=output,
        )


def _conv2d(b: Builder) -> None:
    x = b.pick()
    _, h, w, c = b.shapes[x]
    kh, kw = (b.draw(st.sampled_from([1, 2, 3, 5])) for _ in range(2))
    groups = b.draw(st.sampled_from([g for g in (1, 1, 2, c) if c % g == 0]))
    out = b.draw(st.integers(1, max(1, 8 // groups))) * groups
    padding = b.draw(st.sampled_from(["SAME", "VALID", ((1, 2), (0, 2))]))
    if padding == "VALID" and (h < kh or w < kw):
        padding = "SAME"
    kernel = b.array(kh, kw, c // groups, out, fan_in=kh * kw * c // groups)
    if out > 1 and b.draw(st.integers(0, 9)) == 0:
        kernel[..., 0] = 0  # a dead channel
    bias = [b.array(out)] if b.draw(st.booleans()) else []
    strides = b.draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2)]))
    attrs = {"strides": strides, "padding": padding, "groups": groups}
    if strides == (1, 1) and padding == "SAME":
        attrs["dilation"] = b.draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3)]))
    b.append("conv2d", x, kernel, *bias, **attrs)


def _conv2d_transpose(b: Builder) -> None:
    x = b.pick()
    c = b.shapes[x][-1]
    stride = b.draw(st.integers(1, 3))
    kh, kw = (b.draw(st.integers(stride, 5)) for _ in range(2))
    out = b.draw(st.integers(1, 8))
    kernel = b.array(kh, kw, c, out, fan_in=kh * kw * c // stride**2 + 1)
    bias = [b.array(out)] if b.draw(st.booleans()) else []
    padding = b.draw(st.sampled_from(["SAME", "SAME", "VALID"]))
    b.append("conv2d_transpose", x, kernel, *bias, strides=(stride, stride), padding=padding)


def _sum_or_product(op: str) -> Callable[[Builder], None]:
    def append(b: Builder) -> None:
        x = b.pick()
        n, _, _, c = shape = b.shapes[x]
        if x.startswith("channel_shuffle"):
            # The converter would move its reshaping behind the sum of two such, past their ranges.
            b.append(op, x, b.array(c))
            return
        operands: dict[str, Callable[[], Any]] = {
            "tensor": lambda: b.pick(lambda other: other in (shape, (n, 1, 1, c))),
            "scalar": b.array,
            "channels": lambda: b.array(c),
        }
        b.append(op, x, operands[b.draw(st.sampled_from(sorted(operands)))]())

    return append


def _concat(b: Builder) -> None:
    x = b.pick()
    place = b.shapes[x][:3]
    others = [b.pick(lambda s: s[:3] == place) for _ in range(b.draw(st.integers(1, 2)))]
    b.append("concat", x, *others)


def _slice(b: Builder) -> None:
    x = b.pick()
    begin, size = [0], [-1]
    for n in b.shapes[x][1:]:
        first = b.draw(st.integers(0, n - 1))
        begin.append(first)
        size.append(b.draw(st.sampled_from([-1, 1, max(1, (n - first) // 2)])))
    b.append("slice", x, begin=tuple(begin), size=tuple(size))


def _clip(b: Builder) -> None:
    ends = b.draw(
        st.sampled_from(
            [(-0.5, 0.7), (0.1, 0.6), (0.0, 1.0), (-1.0, 1.0), (0.0, 6.0), (-0.7, -0.2)]
        )
    )
    b.append("clip", b.pick(), low=ends[0], high=ends[1])


def _depth_to_space(b: Builder) -> None:
    block = b.draw(st.sampled_from([2, 3]))
    if not b.pick(lambda s: s[-1] % block**2 == 0):
        x = b.pick()
        c = b.shapes[x][-1]
        b.append("conv2d", x, b.array(1, 1, c, block**2, fan_in=c))
    if x := b.pick(lambda s: s[-1] % block**2 == 0):
        b.append("depth_to_space", x, block=block)


def _space_to_depth(b: Builder) -> None:
    block = b.draw(st.sampled_from([2, 3]))
    if not b.pick(lambda s: s[1] % block == s[2] % block == 0):
        b.append("resize", b.pick(), scale=block, method="nearest")
    if x := b.pick(lambda s: s[1] % block == s[2] % block == 0):
        b.append("space_to_depth", x, block=block)


def _resize(b: Builder) -> None:
    method = b.draw(st.sampled_from(["nearest", "bilinear"]))
    b.append("resize", b.pick(), scale=b.draw(st.integers(2, 4)), method=method)


def _resize_like(b: Builder) -> None:
    x = b.pick()
    n = b.shapes[x][0]
    method = b.draw(st.sampled_from(["nearest", "bilinear"]))
    b.append("resize_like", x, b.pick(lambda s: s[0] == n and s[1:3] != (1, 1)), method=method)


def _pool(op: str) -> Callable[[Builder], None]:
    def append(b: Builder) -> None:
        if x := b.pick(lambda s: min(s[1:3]) > 2):
            window = tuple(b.draw(st.integers(1, 3)) for _ in range(2))
            padding = b.draw(st.sampled_from(["SAME", "VALID"]))
            strides = b.draw(st.sampled_from([(1, 1), (2, 2), (2, 1)]))
            b.append(op, x, window=window, strides=strides, padding=padding)

    return append


def _pad(b: Builder) -> None:
    mode = b.draw(st.sampled_from(["constant", "reflect", "symmetric"]))
    if x := b.pick(lambda s: min(s[1:3]) > 2):
        padding = tuple(tuple(b.draw(st.integers(0, 2)) for _ in range(2)) for _ in range(2))
        b.append("pad", x, padding=padding, mode=mode)


def _unbias(b: Builder) -> None:
    b.append("unbias", b.pick(), b.pick(lambda s: s[1] * s[2] > 1))


def _sqrt(b: Builder) -> None:
    b.append("sigmoid", b.pick())  # the kernel refuses what is negative
    if b.nodes and b.nodes[-1].op == "sigmoid":
        b.append("sqrt", b.nodes[-1].name)


def _channel_shuffle(b: Builder) -> None:
    if x := b.pick(lambda s: s[-1] % 2 == 0):
        b.append("channel_shuffle", x, groups=2)


def _mean(b: Builder) -> None:
    axes = b.draw(st.sampled_from([(1, 2), (1, 2), (1,), (2,), (3,)]))
    if x := b.pick(lambda s: math.prod(s[axis] for axis in axes) > 1):
        b.append("mean", x, axes=axes)


def _relu(b: Builder) -> None:
    x = b.pick()
    writer = next((node for node in b.nodes if node.name == x), None)
    # The converter moves a ReLU into these two past a range between them, and cannot into the third.
    unfit = writer and (
        writer.op in ("max_pool", "average_pool", "clip")
        or (writer.op == "conv2d_transpose" and len(writer.parameters) == 1)
    )
    if not unfit:
        b.append("relu", x)


LAYERS: dict[str, Callable[[Builder], None]] = {
    "add": _sum_or_product("add"),
    "average_pool": _pool("average_pool"),
    "channel_shuffle": _channel_shuffle,
    "clip": _clip,
    "concat": _concat,
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "depth_to_space": _depth_to_space,
    "exp": lambda b: b.append("exp", b.pick()),
    "leaky_relu": lambda b: b.append(
        "leaky_relu", b.pick(), slope=b.draw(st.sampled_from([-0.5, 0.1, 0.3, 2.0]))
    ),
    "max_pool": _pool("max_pool"),
    "mean": _mean,
    "mul": _sum_or_product("mul"),
    "pad": _pad,
    "prelu": lambda b: b.append("prelu", x := b.pick(), b.array(b.shapes[x][-1])),
    "relu": _relu,
    "resize": _resize,
    "resize_like": _resize_like,
    "sigmoid": lambda b: b.append("sigmoid", b.pick()),
    "slice": _slice,
    "softmax": lambda b: b.append("softmax", b.pick()),
    "space_to_depth": _space_to_depth,
    "sqrt": _sqrt,
    "sub": _sum_or_product("sub"),
    "tanh": lambda b: b.append("tanh", b.pick()),
    "unbias": _unbias,
}
"""By op: appends it to a graph, where a tensor suits."""


@st.composite
def networks(draw: Draw, last: str) -> tuple[Graph, dict[str, Range], np.ndarray]:
    """A network of a few operations, at last `last` where it suits, random ranges, and input codes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = st.integers(4, 12)
    builder = Builder(draw, (1, draw(size), draw(size), draw(st.integers(1, 8))), rng)
    layers = st.lists(st.sampled_from([*LAYERS, *["conv2d"] * 4]), min_size=1, max_size=6)
    for op in [*draw(layers), last]:
        LAYERS[op](builder)
    if not builder.nodes:
        LAYERS["conv2d"](builder)
    graph = builder.graph()
    found = find_points(graph)
    ranges: dict[str, Range] = {}
    for key in found.group.values():
        low, high = -rng.uniform(0.1, 3), rng.uniform(0.1, 3)
        positive = key.startswith("relu") and rng.uniform() < 0.5
        ranges[key] = found.fixed.get(key, (0.0 if positive else low, high))
    codes = rng.integers(-128, 128, size=graph.input_shape).astype(np.int8)
    return graph, ranges, codes
