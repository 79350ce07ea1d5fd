"""Rewrites what TFLite's "16x8" files cannot express.

    graph, ranges = express_in_16_bits(graph, ranges, scheme)
    model = with_16_bit_facts(model)

Kernels for activations of 16 bits read no constants of 16 bits and do not broadcast, and there is none for
PReLU. So a constant becomes the bias or the kernel of a depthwise 1×1 convolution, and PReLU becomes a sum of
two such convolutions, a·x + (1 - a)·max(x, 0). Another convolution copies one channel to several; its weight
of 1 is exact.

`checks.check_kernels` refuses what has no form at all.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.export.flatbuffer import list_operators, pack, read, read_enum
from sesr_jax.graph import Graph, Node
from sesr_jax.quant import Range, Ranges, Scheme, find_points

_BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "TRANSPOSE_CONV": 3}


def express_in_16_bits(
    graph: Graph, ranges: Ranges, scheme: Scheme
) -> tuple[Graph, dict[str, Range]]:
    """Returns `graph` in operations that have kernels of 16 bits, and its ranges with those of new tensors.

    Raises:
      InputError: a constant is an image.
    """
    group, shapes, found = find_points(graph, scheme).group, graph.shapes, dict(ranges)
    nodes: list[Node] = []
    for node in graph.nodes:
        if not set(node.inputs) <= group.keys() or scheme.excludes(node.name):
            nodes.append(node)  # it runs in float
        elif node.op == "prelu":
            parts = list(_split_prelu(node, *found[group[node.inputs[0]]]))
            nodes += [part for part, _ in parts]
            found |= {part.name: bounds for part, bounds in parts[:-1]}
        elif node.op in ("add", "mul") and node.parameters:
            nodes.append(_replace_constant(node, shapes[node.inputs[0]][-1]))
        elif node.op in ("add", "mul"):
            copies = [_copy_channel(node, arg, shapes[arg][-1]) for arg in node.inputs]
            found |= {
                copy.name: found[group[arg]]
                for arg, copy in zip(node.inputs, copies, strict=True)
                if copy
            }
            nodes += [copy for copy in copies if copy]
            args = zip(node.inputs, copies, strict=True)
            nodes.append(
                dataclasses.replace(
                    node, args=tuple(copy.name if copy else arg for arg, copy in args)
                )
            )
        elif node.op == "clip" and node.attrs["high"] == 1:
            # The next float has the same code, and is not converted to RELU_0_TO_1, which has no kernel.
            attrs = {**node.attrs, "high": float(np.nextafter(np.float32(1), np.float32(2)))}
            nodes.append(dataclasses.replace(node, attrs=attrs))
        else:
            nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(nodes)), found


def _copy_channel(node: Node, source: str, channels: int) -> Node | None:
    """Returns a node that copies the one channel of `source` to all of `node`'s; None if it has all."""
    features = node.shape[-1]
    if channels == features:
        return None
    name = f"{node.name}/{source}/copied"
    return _depthwise_conv(name, source, jnp.ones(features), (), channels, node.shape)


def _replace_constant(node: Node, channels: int) -> Node:
    """Returns the addition of, or multiplication by, one constant per channel as a convolution."""
    (constant,), features = node.parameters, node.shape[-1]
    if constant.size not in (1, features):
        raise InputError(
            f"{node.name!r} takes a constant of shape {constant.shape}, which no file of 16 bits holds; "
            "give it one value per channel, or export int8."
        )
    values = jnp.broadcast_to(constant.reshape(-1), (features,)).astype(jnp.float32)
    kernel, bias = (jnp.ones(features), (values,)) if node.op == "add" else (values, ())
    return _depthwise_conv(node.name, node.inputs[0], kernel, bias, channels, node.shape)


def _depthwise_conv(
    name: str,
    source: str,
    kernel: Any,
    bias: tuple[Any, ...],
    channels: int,
    shape: tuple[int, ...],
) -> Node:
    attrs = {"strides": (1, 1), "padding": "SAME", "groups": channels, "dilation": (1, 1)}
    args = (source, kernel[None, None, None], *bias)
    return Node(name=name, op="conv2d", args=args, attrs=attrs, shape=shape)


def _split_prelu(node: Node, low: float, high: float) -> Iterator[tuple[Node, Range]]:
    """Yields the nodes that make up a PReLU of values in [low, high], each with the range of its output.

    The last one has the name of `node`, whose range is known.
    """
    source, shape, channels = node.inputs[0], node.shape, node.shape[-1]
    slope = jnp.broadcast_to(node.parameters[0], (channels,)).astype(jnp.float32)
    positive, bent, straight = (f"{node.name}/{part}" for part in ("positive", "bent", "straight"))
    largest = max(-low, high)
    relu = Node(name=positive, op="relu", args=(source,), attrs={}, shape=shape)
    yield relu, (0.0, largest)
    for name, read_from, factor in ((bent, positive, 1 - slope), (straight, source, slope)):
        end = largest * float(np.abs(factor).max()) or largest
        yield _depthwise_conv(name, read_from, factor, (), channels, shape), (-end, end)
    yield Node(name=node.name, op="add", args=(bent, straight), attrs={}, shape=shape), (low, high)


def with_16_bit_facts(model: bytes) -> bytes:
    """Returns the TFLite model with what its kernels of 16 bits need and the converters leave out.

    Biases are int64, which some kernels demand. Additions are marked as having arbitrary scales: otherwise
    LiteRT takes scales near a power of two for such powers, and refuses some.
    """
    found = read(model)
    names = read_enum("TensorType")
    types = {name: value for value, name in names.items()}
    wide: set[int] = set()  # buffers may be shared
    for op in list_operators(found):
        if names[op.outputs[0].type] != "INT16":
            continue
        if op.name == "ADD":
            op.options.potScaleInt16 = False
        bias = op.inputs[_BIAS[op.name]] if len(op.inputs) > _BIAS.get(op.name, 9) else None
        if bias is not None and names[bias.type] == "INT32":
            buffer, bias.type = found.buffers[bias.buffer], types["INT64"]
            if bias.buffer not in wide:
                codes = np.frombuffer(bytes(buffer.data), np.int32).astype(np.int64)
                buffer.data = np.frombuffer(codes.tobytes(), np.uint8)
                wide.add(bias.buffer)
    return pack(found)
