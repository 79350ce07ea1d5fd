"""Measures forms of PReLU in INT8 files on this CPU, by LiteRT with XNNPACK.

    python -m benchmarks.prelu
    python -m benchmarks.prelu --model sesr_m11_x2 --size 480x270 --repetitions 15

XNNPACK has no INT8 PReLU, and LiteRT runs it by kernels of its own. Each form computes the same function,
a·x + (1 - a)·max(x, 0), by operators that XNNPACK has. "Twice the channels" lets a convolution give x and -x
to a ReLU, and the next one mixes both. ReLU and LeakyReLU are other functions, which bound what a form could
reach. Times are processor time on one thread, medians of runs in turns, so that other programs matter little.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Iterable

import jax.numpy as jnp
import numpy as np

from sesr_jax.cli.arguments import parse_size
from sesr_jax.export import Options, TFLiteModel, to_tflite, trace_collapsed
from sesr_jax.files import write_file
from sesr_jax.graph import Arg, Graph, Node
from sesr_jax.pretrained import find_network
from sesr_jax.quant import calibrate
from sesr_jax.report import format_table
from sesr_jax.train.hardware import describe_hardware

_PLAIN = {"strides": (1, 1), "padding": "SAME", "dilation": (1, 1)}


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sesr_m5_x2", help="default %(default)s")
    parser.add_argument("--size", type=parse_size, default=(256, 256), help="default 256x256")
    parser.add_argument("--repetitions", type=int, default=9, help="default %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    args = parser.parse_args(argv)
    graph = trace_collapsed(find_network(args.model), args.size)
    image = np.random.default_rng(0).uniform(size=graph.input_shape).astype(np.float32)
    forms = {
        "PReLU": graph,
        "products and a sum": _replace_prelus(graph, _write_products),
        "depthwise convolutions and a sum": _replace_prelus(graph, _write_depthwise),
        "twice the channels": _double_channels(graph),
        "(ReLU)": _replace_prelus(graph, _write_relu),
        "(LeakyReLU)": _replace_prelus(graph, _write_leaky_relu),
    }
    models = {}
    for name, form in forms.items():
        for kind, ranges in (("INT8", calibrate(form, [image])), ("float", None)):
            precision = "float32" if ranges is None else "int8"
            options = Options(precision=precision, converter="litert")
            content = to_tflite(form, ranges=ranges, options=options)
            models[name, kind] = TFLiteModel(content, num_threads=1)
    seconds = _time_in_turns(models, image, args.repetitions)
    print(f"{describe_hardware()}, load {os.getloadavg()[0]:.1f}")
    base, pixels = seconds["PReLU", "float"], args.size[0] * args.size[1]
    exact = models["PReLU", "float"](image).clip(0, 1)
    apart = {
        key: 255 * float(np.abs(model(image).clip(0, 1) - exact).max())
        for key, model in models.items()
    }
    rows = [
        (", ".join(key), f"{spent / pixels * 1e6:.2f}", f"{base / spent:.2f}×", f"{apart[key]:.3f}")
        for key, spent in seconds.items()
    ]
    header = ("form", "s per million pixels", "speed", "codes from PReLU in float")
    print(format_table(rows, header))
    if args.json:
        results = {
            ", ".join(key): {"seconds": spent, "codes": apart[key]}
            for key, spent in seconds.items()
        }
        write_file(args.json, json.dumps(results, indent=2))


def _time_in_turns(
    models: dict[tuple[str, str], TFLiteModel], image: np.ndarray, repetitions: int
) -> dict[tuple[str, str], float]:
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in models}
    for _ in range(repetitions + 1):
        for key, model in models.items():
            start = time.process_time()
            model(image)
            seconds[key].append(time.process_time() - start)
    return {key: statistics.median(times[1:]) for key, times in seconds.items()}


def _replace_prelus(graph: Graph, write: Callable[[Node, Arg], Iterable[Node]]) -> Graph:
    """Returns `graph` with the nodes ``write(node, slopes)`` for each PReLU, the last of its name."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op == "prelu":
            nodes += write(node, jnp.broadcast_to(node.parameters[0], node.shape[-1:]))
        else:
            nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def _part(node: Node, part: str, op: str, *args: Arg, **attrs: object) -> Node:
    name = f"{node.name}/{part}" if part else node.name
    return Node(name=name, op=op, args=args, attrs=attrs, shape=node.shape)


def _write_products(node: Node, slopes: Arg) -> list[Node]:
    (x,) = node.inputs
    positive = _part(node, "positive", "relu", x)
    straight = _part(node, "straight", "mul", x, slopes)
    bent = _part(node, "bent", "mul", positive.name, 1 - jnp.asarray(slopes))
    return [positive, straight, bent, _part(node, "", "add", straight.name, bent.name)]


def _write_depthwise(node: Node, slopes: Arg) -> list[Node]:
    (x,), channels = node.inputs, node.shape[-1]
    kernels = (jnp.asarray(one)[None, None, None] for one in (slopes, 1 - jnp.asarray(slopes)))
    attrs = {**_PLAIN, "groups": channels}
    positive = _part(node, "positive", "relu", x)
    straight = _part(node, "straight", "conv2d", x, next(kernels), **attrs)
    bent = _part(node, "bent", "conv2d", positive.name, next(kernels), **attrs)
    return [positive, straight, bent, _part(node, "", "add", straight.name, bent.name)]


def _write_relu(node: Node, slopes: Arg) -> list[Node]:
    return [_part(node, "", "relu", *node.inputs)]


def _write_leaky_relu(node: Node, slopes: Arg) -> list[Node]:
    return [_part(node, "", "leaky_relu", *node.inputs, slope=0.2)]


def _double_channels(graph: Graph) -> Graph:
    """Returns `graph` with convolutions that give x and -x to a ReLU in the place of each PReLU."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op != "prelu":
            nodes.append(node)
            continue
        before = nodes.pop()
        kernel, bias = before.parameters
        shape = (*node.shape[:-1], 2 * node.shape[-1])
        kernels, biases = jnp.concatenate([kernel, -kernel], -1), jnp.concatenate([bias, -bias])
        args: tuple[Arg, ...] = (before.inputs[0], kernels, biases)
        slopes = np.broadcast_to(node.parameters[0], node.shape[-1:])
        mix = jnp.asarray(np.concatenate([np.eye(len(slopes)), -np.diag(slopes)]), jnp.float32)
        both = _part(node, "both", "relu", before.name)
        nodes += [
            dataclasses.replace(before, args=args, shape=shape),
            dataclasses.replace(both, shape=shape),
            _part(node, "", "conv2d", both.name, mix[None, None], **_PLAIN, groups=1),
        ]
    return _join_mixes(dataclasses.replace(graph, nodes=tuple(nodes)))


def _join_mixes(graph: Graph) -> Graph:
    """Multiplies each 1×1 kernel that mixes both halves into the convolution that alone reads it."""
    changed, joined = {}, set()
    for node in graph.nodes:
        reader = graph.find_sole_reader(node.name)
        if node.inputs[0].endswith("/both") and reader is not None and reader.op == "conv2d":
            kernel, *bias = reader.parameters
            product = jnp.einsum("io,hwoj->hwij", node.parameters[0][0, 0], kernel)
            changed[reader.name] = dataclasses.replace(reader, args=(node.name, product, *bias))
            joined.add(node.name)
    return graph.map_nodes(lambda node: changed.get(node.name, node)).without_nodes(joined)


if __name__ == "__main__":
    main()
