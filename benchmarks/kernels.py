"""Measures how far other integer kernels are from the reference, by operation and through whole networks.

    python -m benchmarks.kernels
    python -m benchmarks.kernels --case conv2d --model sesr_m5 --repetitions 9 --json kernels.json

The codes of `quant.integer`, which are those of LiteRT's reference kernels, are compared with what LiteRT's
optimised kernels compute from the same file, without and with XNNPACK: the largest difference in codes, and
the mean. Each repetition draws parameters anew and calibrates ranges on its input: noise for operations, an
image with the spectrum of photos for networks.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sesr_jax import graph as graphs
from sesr_jax import ops
from sesr_jax.export import TFLiteModel, to_tflite
from sesr_jax.export.litert import Kernels
from sesr_jax.files import write_file
from sesr_jax.graph import Graph, Node, trace
from sesr_jax.models import create
from sesr_jax.models.registry import VARIANTS
from sesr_jax.quant import calibrate
from sesr_jax.quant.integer import quantise, run
from sesr_jax.quant.ranges import IMAGE
from sesr_jax.reparam import collapse
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.report import format_table

_CHANNELS = 8
_MODELS = ("sesr_m5", "sesr_m5_hw", "ecbsr_m4c16", "fsrcnn")

Function: TypeAlias = Callable[[jax.Array], jax.Array]


def make_cases(seed: int) -> dict[str, Function]:
    """Returns one network per operation, which consists of that alone where this is possible.

    Their parameters are drawn from `seed`. Outputs lie mostly in [0, 1], where an image saturates.
    """
    rng = np.random.default_rng(seed)

    def kernel(height: int, width: int, inputs: int = _CHANNELS) -> np.ndarray:
        shape = (height, width, inputs, _CHANNELS)
        return (rng.normal(size=shape) * 0.6 / np.sqrt(height * width * inputs)).astype(np.float32)

    def channels(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, _CHANNELS).astype(np.float32)

    grey, shift, gain = channels(0.3, 0.7), channels(-0.2, 0.2), channels(0.2, 1.0)
    slopes = channels(-0.5, -0.1)
    return {
        "add": lambda x: ops.add(x, shift),
        "average_pool": lambda x: ops.average_pool(x, window=(3, 3), strides=(2, 2)),
        "channel_shuffle": lambda x: ops.channel_shuffle(x, groups=2),
        "clip": lambda x: ops.clip(ops.add(x, shift), low=0.2, high=0.7),
        "concat": lambda x: ops.concat(x, ops.sigmoid(x)),
        "conv2d": lambda x: ops.conv2d(x, kernel(3, 3), grey),
        "conv2d, depthwise": lambda x: ops.conv2d(x, kernel(3, 3, 1), grey, groups=_CHANNELS),
        "conv2d, dilated": lambda x: ops.conv2d(x, kernel(3, 3), grey, dilation=(2, 2)),
        "conv2d, grouped": lambda x: ops.conv2d(x, kernel(3, 3, 4), grey, groups=_CHANNELS // 4),
        "conv2d_transpose": lambda x: ops.conv2d_transpose(
            x, kernel(9, 9) * 2, grey, strides=(2, 2)
        ),
        "depth_to_space": lambda x: ops.depth_to_space(x, block=2),
        "div": lambda x: ops.div(ops.mul(x, gain), ops.clip(x, low=0.5, high=0.9)),
        "exp": lambda x: ops.exp(ops.mul(x, -gain)),
        "leaky_relu": lambda x: ops.leaky_relu(ops.add(x, -0.5), slope=-0.3),
        "max_pool": lambda x: ops.max_pool(x, window=(2, 2), strides=(2, 2)),
        "mean": ops.mean,
        "mul": lambda x: ops.mul(x, gain),
        "pad, reflect": lambda x: ops.pad(x, padding=((1, 2), (2, 1)), mode="reflect"),
        "prelu": lambda x: ops.prelu(ops.add(x, -0.5), slopes),
        "relu": lambda x: ops.relu(ops.leaky_relu(ops.add(x, shift), slope=0.1)),
        "resize_like, bilinear": lambda x: ops.resize_like(
            ops.average_pool(x, window=(7, 7), strides=(3, 3)), x
        ),
        "resize_like, nearest": lambda x: ops.resize_like(
            ops.average_pool(x, window=(7, 7), strides=(3, 3)), x, method="nearest"
        ),
        "resize, bilinear ×2": lambda x: ops.resize(x, scale=2, method="bilinear"),
        "resize, bilinear ×3": lambda x: ops.resize(x, scale=3, method="bilinear"),
        "resize, nearest": lambda x: ops.resize(x, scale=2, method="nearest"),
        "sigmoid": lambda x: ops.sigmoid(ops.leaky_relu(ops.add(x, -0.5), slope=4.0)),
        "slice": lambda x: ops.slice(x, begin=(0, 1, 2, 1), size=(-1, -1, -1, 3)),
        "softmax": lambda x: ops.softmax(ops.mul(x, 4.0)),
        "space_to_depth": lambda x: ops.space_to_depth(x, block=2),
        "sqrt": ops.sqrt,
        "standard deviation": ops.standard_deviation,
        "sub": lambda x: ops.sub(x, shift),
        "tanh": ops.tanh,
    }


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(make_cases(0))
    parser.add_argument("--case", action="append", choices=names, help="repeatable; default all")
    parser.add_argument(
        "--model",
        action="append",
        choices=VARIANTS,
        help=f"repeatable; default {', '.join(_MODELS)}",
    )
    parser.add_argument("--size", type=int, default=48, help="of the input; default %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="default %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    args = parser.parse_args(argv)

    found: dict[str, list[dict[str, np.ndarray]]] = {}
    for seed in range(args.repetitions):
        functions = make_cases(seed)
        noise = np.random.default_rng(seed).uniform(size=(1, args.size, args.size, _CHANNELS))
        for name in args.case or names:
            graph = trace(nn.Sequential([functions[name]]), {}, noise.shape)
            found.setdefault(name, []).append(measure_differences(graph, noise))
        image = make_photo_noise((1, args.size, args.size, 1), seed)
        for name in args.model or _MODELS:
            found.setdefault(name, []).append(
                measure_differences(_make_network(name, image, seed), image)
            )
    results = [{"name": name, "kernels": _summarise(runs)} for name, runs in found.items()]

    from ai_edge_litert import __version__ as version

    print(
        f"differences in codes from the reference kernels, ai-edge-litert {version}, "
        f"{args.repetitions} × {args.size}×{args.size}"
    )
    header = ["", "optimised: largest", "mean", "with XNNPACK: largest", "mean"]
    print(format_table([_format_row(result) for result in results], header))
    if args.json:
        write_file(args.json, json.dumps(results, indent=2))


def measure_differences(graph: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    """Returns, for each set of kernels, how far each code is from the reference's."""
    ranges = calibrate(graph, [x])
    codes = np.asarray(quantise(x, IMAGE))
    reference = np.asarray(jax.jit(functools.partial(run, graph, ranges))(codes), np.int32)
    file = to_tflite(graph, ranges=ranges)
    others: tuple[Kernels, ...] = ("optimised", "XNNPACK")
    models = {name: TFLiteModel(file, kernels=name, num_threads=1) for name in others}
    return {name: np.abs(model.run(codes) - reference) for name, model in models.items()}


def _make_network(name: str, image: np.ndarray, seed: int) -> Graph:
    """Returns the model ×2 with random parameters, by which convolutions give values as large as an image's.

    As initialised, some networks give little but 0, and errors are as large as their ranges are odd.
    """
    network = create(name, scale=2)
    rng = np.random.default_rng(seed)

    def init() -> Any:
        variables = network.init(jax.random.key(0), jnp.zeros(image.shape))
        return {**variables, "params": collapse(variables["params"])}

    def draw(parameter: Any) -> jax.Array:
        return jnp.asarray(rng.normal(size=parameter.shape) * 0.2, jnp.float32)

    graph = trace(network, jax.tree.map(draw, jax.eval_shape(init)), image.shape)
    gains = {}

    def scale_output(name: str, y: jax.Array) -> jax.Array:
        if name != graph.input and graph[name].op.startswith("conv2d"):
            gains[name] = 0.25 / y.std()
        return y * gains.get(name, 1)

    graphs.run(graph, jnp.asarray(image), scale_output)

    def with_gain(node: Node) -> Node:
        args = [arg if isinstance(arg, str) else arg * gains[node.name] for arg in node.args]
        return dataclasses.replace(node, args=tuple(args))

    return graph.map_nodes(lambda node: with_gain(node) if node.name in gains else node)


def _summarise(runs: list[dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    return {
        kernels: {
            "largest": int(max(run[kernels].max() for run in runs)),
            "mean": float(np.mean([run[kernels].mean() for run in runs])),
        }
        for kernels in runs[0]
    }


def _format_row(result: Mapping[str, Any]) -> list[str]:
    cells = [
        cell
        for found in result["kernels"].values()
        for cell in (f"{found['largest']}", f"{found['mean']:.4f}")
    ]
    return [result["name"], *cells]


if __name__ == "__main__":
    main()
