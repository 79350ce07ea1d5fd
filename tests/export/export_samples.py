"""Small networks with their files, and what the files should compute."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.data.colour import rgb_to_y
from sesr_jax.export import to_tflite
from sesr_jax.graph import Graph, Node, run, trace
from sesr_jax.quant import Ranges, affine, find_points

SHAPE = (1, 60, 80, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """A small network and its files."""

    graph: Graph
    ranges: Ranges

    @functools.cached_property
    def float32(self) -> bytes:
        return to_tflite(self.graph, ranges=None)

    @functools.cached_property
    def int8(self) -> bytes:
        return to_tflite(self.graph, ranges=self.ranges)


def luma(rgb: np.ndarray) -> np.ndarray:
    """A photo's Y, small, ``[1, 60, 80, 1]``."""
    y = rgb_to_y(rgb[:240, 60:380].astype(np.float32) / 255)
    return y.reshape(60, 4, 80, 4, 1).mean(axis=(1, 3))[None]


def simulate(graph: Graph, ranges: Ranges, x: np.ndarray) -> np.ndarray:
    """The network with rounded parameters and activations, in float: what an INT8 file computes."""
    group = find_points(graph).group

    def tap(name: str, y: jax.Array) -> jax.Array:
        if name not in group:
            return y
        scale, zero_point = affine(*ranges[group[name]])
        return scale * (jnp.clip(jnp.round(y / scale) + zero_point, -128, 127) - zero_point)

    def rounded(node: Node) -> Node:
        if node.op == "prelu":
            x, slope = node.args
            return dataclasses.replace(node, args=(x, _round(slope, jnp.abs(slope).max() / 127)))
        if not node.op.startswith("conv2d"):
            return node
        x, kernel, *biases = node.args
        step = jnp.maximum(jnp.abs(kernel).max(axis=(0, 1, 2)), 1e-9) / 127
        sum_step = step * affine(*ranges[group[x]])[0]  # of the int32 sums, and so of the bias
        args = (x, _round(kernel, step), *(_round(bias, sum_step) for bias in biases))
        return dataclasses.replace(node, args=args)

    return np.asarray(run(graph.map_nodes(rounded), jnp.asarray(x), tap))


def _round(x: jax.Array, step: jax.Array) -> jax.Array:
    return jnp.round(x / step) * step


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


# One network an operation; its output lies within [0, 1], where an image saturates.
RNG = np.random.default_rng(0)


def weights(*shape: int) -> jax.Array:
    """Positive, and no sum over the inputs beyond 0.8."""
    return jnp.asarray(RNG.uniform(size=shape) * 0.8 / np.prod(shape[:3]), jnp.float32)


BIAS = jnp.asarray([0.1, 0.15, 0.05, 0.0])
SLOPE = jnp.asarray([-0.5, -0.25, 0.1, -1.0])
CASES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "add": lambda x: ops.mul(ops.add(x, x), 0.5),
    "add constant": lambda x: ops.add(ops.mul(x, 0.5), -0.5 * BIAS),
    "average_pool": lambda x: ops.average_pool(x, window=(2, 2), strides=(2, 2)),
    "average_pool same": lambda x: ops.average_pool(x, window=(3, 5), padding="SAME"),
    "channel_shuffle": lambda x: ops.channel_shuffle(ops.mul(x, 0.9), groups=2),
    "clip": lambda x: ops.clip(ops.mul(x, 0.75), low=0.0, high=0.5),
    "clip that stays": lambda x: ops.mul(ops.clip(ops.add(x, 0.1), low=0.2, high=0.6), 1.5),
    "concat": lambda x: ops.concat(ops.mul(x, 0.5), ops.add(x, -0.25)),
    "concat with the image": lambda x: ops.mul(ops.concat(x, ops.mul(x, 2.0)), 0.5),
    "conv2d": lambda x: ops.conv2d(x, weights(3, 3, 4, 4), BIAS),
    "conv2d depthwise": lambda x: ops.conv2d(x, weights(3, 3, 1, 4), BIAS, groups=4),
    "conv2d dilated": lambda x: ops.conv2d(
        x, weights(3, 2, 4, 4), BIAS, padding=((2, 2), (1, 2)), dilation=(2, 3)
    ),
    "conv2d dilated same": lambda x: ops.conv2d(x, weights(3, 3, 4, 4), dilation=(2, 2)),
    "conv2d grouped": lambda x: ops.conv2d(x, weights(3, 3, 2, 4), BIAS, groups=2),
    "conv2d padded": lambda x: ops.conv2d(x, weights(3, 3, 4, 4), padding=((2, 0), (0, 2))),
    "conv2d strided": lambda x: ops.conv2d(x, weights(3, 3, 4, 4), strides=(2, 2)),
    "conv2d valid": lambda x: ops.conv2d(x, weights(5, 3, 4, 4), padding="VALID"),
    "conv2d_transpose": lambda x: ops.conv2d_transpose(
        x, weights(9, 9, 4, 2), BIAS[:2], strides=(3, 3)
    ),
    "conv2d_transpose even": lambda x: ops.conv2d_transpose(x, weights(4, 4, 4, 4), strides=(2, 2)),
    "conv2d_transpose cropped": lambda x: ops.crop(
        ops.conv2d_transpose(x, weights(3, 5, 4, 4), BIAS, strides=(2, 2), padding="VALID"),
        margins=((1, 0), (2, 1)),
    ),
    "conv2d_transpose valid": lambda x: ops.conv2d_transpose(
        x, weights(3, 3, 4, 2), strides=(2, 2), padding="VALID"
    ),
    "depth_to_space": lambda x: ops.depth_to_space(x, block=2),
    "depth_to_space of colours": lambda x: ops.depth_to_space(
        ops.concat(x, ops.mul(x, 0.5)), block=2
    ),
    "div": lambda x: ops.div(ops.mul(x, 0.4), ops.clip(ops.add(x, 0.5), low=0.5, high=1.2)),
    "exp": lambda x: ops.exp(ops.mul(x, -2.0)),
    "leaky_relu": lambda x: ops.leaky_relu(ops.add(x, -0.5), slope=-0.25),
    "max_pool": lambda x: ops.max_pool(x, window=(2, 2), strides=(2, 2)),
    "max_pool same": lambda x: ops.max_pool(x, window=(3, 3), padding="SAME"),
    "mean": lambda x: ops.mul(x, ops.mean(x)),
    "mean and deviation": lambda x: ops.mul(x, ops.add(*ops.mean_and_deviation(x, unbiased=True))),
    "mul": lambda x: ops.mul(x, x),
    "pad": lambda x: ops.pad(ops.add(x, -0.5), padding=((1, 2), (0, 3))),
    "pad reflect": lambda x: ops.pad(x, padding=((1, 2), (3, 0)), mode="reflect"),
    "pad symmetric": lambda x: ops.pad(x, padding=((1, 1), (0, 1)), mode="symmetric"),
    "prelu": lambda x: ops.prelu(ops.add(x, -0.5), SLOPE),
    "relu": lambda x: ops.relu(ops.add(x, -0.5)),
    "relu alone": lambda x: ops.relu(ops.leaky_relu(ops.add(x, -0.5), slope=0.5)),
    "resize nearest": lambda x: ops.resize(x, scale=2, method="nearest"),
    "resize bilinear": lambda x: ops.resize(x, scale=3, method="bilinear"),
    "resize_like nearest": lambda x: ops.resize_like(
        ops.max_pool(x, window=(4, 5), strides=(2, 3)), x, method="nearest"
    ),
    "resize_like bilinear": lambda x: ops.resize_like(
        ops.max_pool(x, window=(4, 5), strides=(2, 3)), ops.sigmoid(x)
    ),
    "resize_like smaller": lambda x: ops.resize_like(
        x, ops.max_pool(x, window=(2, 2), strides=(2, 3))
    ),
    "sigmoid": lambda x: ops.sigmoid(ops.mul(ops.add(x, -0.5), 4.0)),
    "slice": lambda x: ops.slice(x, begin=(0, 1, 0, 2), size=(1, 4, -1, 2)),
    "slice from the end": lambda x: ops.slice(x, begin=(0, 1, 2, 0), size=(-1, -3, -2, -1)),
    "softmax": lambda x: ops.softmax(ops.mul(x, 3.0)),
    "space_to_depth": lambda x: ops.space_to_depth(x, block=2),
    "sqrt": lambda x: ops.sqrt(ops.mul(x, x)),
    "sqrt of a variance": lambda x: ops.mul(x, ops.standard_deviation(x)),
    "sub": lambda x: ops.sub(x, ops.mul(x, 0.5)),
    "sub of a constant": lambda x: ops.sub(0.9, ops.mul(x, 0.5)),
    "tanh": lambda x: ops.tanh(ops.mul(x, 3.0)),
    "unbias": lambda x: ops.unbias(
        ops.mul(x, 0.5), ops.slice(x, begin=(0,) * 4, size=(1, 2, 2, 1))
    ),
}


def lone(case: str) -> Graph:
    return trace(nn.Sequential([CASES[case]]), {}, (1, 12, 16, 4))
