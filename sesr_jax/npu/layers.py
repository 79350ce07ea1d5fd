"""A network as a list of layers: shapes, weights and multiply-accumulates, no values.

This is what every hardware model reads, whether the network comes from a Graph or from a .tflite.

    layers = layers_from_graph(trace(model, variables, (1, 1080, 1920, 1)))

Conventions: tensors are ``[N, H, W, C]``; a layer's `op` is a name of `sesr_jax.ops` where one
exists, else the TFLite operator's in lower case; MACs are counted at output pixels, for a
transposed convolution too (`graph.macs`). An activation that alone reads a convolution is part of
that convolution's layer.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, Node, find_readers, macs
from sesr_jax.ops import SPECS
from sesr_jax.quant import without_absorbed

Shape = tuple[int, ...]
Map4 = tuple[int, int, int, int]

CONVOLUTIONS = frozenset(
    {"fully_connected"} | {op for op, spec in SPECS.items() if spec.kind == "convolution"}
)
"""The operations that a MAC array multiplies weights in."""

ACTIVATIONS = frozenset({"tanh"} | {op for op, spec in SPECS.items() if spec.activation})
"""The operations that a convolution's layer absorbs; a target may not (`npu.passes`)."""

BIAS_BYTES = 4  # int32, one per output channel, in every INT8 scheme that we export


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """One operation with its sizes.

    Attributes:
      name: unique in its list.
      op: the operation; a depthwise convolution is a "conv2d" with as many groups as channels.
      inputs: the activations read, by tensor name; constants are not among them.
      input_shapes: ``[N, H, W, C]``, one per input.
      output: the name of the tensor written.
      output_shape: ``[N, H, W, C]``.
      kernel: height and width of the kernel or window: a pooling's, or 2×2 of bilinear resizing.
      strides: vertical and horizontal.
      dilations: vertical and horizontal, of a convolution.
      groups: of a convolution.
      weight_bytes: of all constants: kernel, bias of 4 bytes per channel, slopes, constant operands.
      weight_bits: of an element of them, but for the bias.
      constants: elements of a constant operand, which another than a convolution has.
      macs: multiply-accumulates.
      activation: the absorbed activation's op.
      activation_bytes: of its slopes.
      bits: the widest activation's, a tensor element; 8 is INT8.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output: str
    output_shape: Shape
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_bytes: int = 0
    weight_bits: int = 8
    constants: int = 0
    macs: int = 0
    activation: str | None = None
    activation_bytes: int = 0
    bits: int = 8

    @property
    def extent(self) -> tuple[int, int]:
        """The height and width that the kernel spans, dilated."""
        (kh, kw), (down, right) = self.kernel, self.dilations
        return (kh - 1) * down + 1, (kw - 1) * right + 1


def layers_from_graph(graph: Graph) -> tuple[Layer, ...]:
    """Returns the layers of `graph` as deployed in INT8, with one byte for each activation and weight.

    A clip that a range performs is no layer.
    """
    graph = without_absorbed(graph)
    layers = [_read_node(node, graph) for node in graph.nodes]
    return fuse_activations(layers, outputs=[graph.output])


def _read_node(node: Node, graph: Graph) -> Layer:
    spec, shapes = SPECS[node.op], graph.shapes
    op, inputs = spec.layer or node.op, node.inputs[: spec.values]
    weight_bytes = sum(parameter.size for parameter in node.parameters)
    if op in CONVOLUTIONS:
        weight_bytes = node.parameters[0].size + BIAS_BYTES * node.shape[-1]
    elif op == "prelu" and node.parameters[0].size == 1:
        op = "leaky_relu"  # one slope for all channels needs no table of slopes
    return Layer(
        name=node.name,
        op=op,
        inputs=inputs,
        input_shapes=tuple(shapes[name] for name in inputs),
        output=node.name,
        output_shape=node.shape,
        kernel=spec.taps(graph.call(node)),
        strides=node.attrs.get("strides", (1, 1)),
        dilations=node.attrs.get("dilation", (1, 1)),
        groups=node.attrs.get("groups", 1),
        weight_bytes=0 if op == "leaky_relu" else weight_bytes,
        constants=0 if op in CONVOLUTIONS else weight_bytes,
        macs=macs(node),
    )


def fuse_activations(layers: Iterable[Layer], *, outputs: Iterable[str]) -> tuple[Layer, ...]:
    """Puts each activation into the convolution before it, where nothing else reads that one.

    Args:
      layers: in an order in which they can run.
      outputs: the network's output tensors, which are read from outside.
    """
    layers = list(layers)
    readers = find_readers([*(layer.inputs for layer in layers), outputs])
    fused: list[Layer] = []
    producer: dict[str, int] = {}
    for layer in layers:
        source = producer.get(layer.inputs[0]) if layer.inputs else None
        before = None if source is None else fused[source]
        if (
            before is not None
            and source is not None
            and layer.op in ACTIVATIONS
            and before.op in CONVOLUTIONS
            and before.activation is None
            and len(readers[before.output]) == 1
        ):
            fused[source] = dataclasses.replace(
                before,
                output=layer.output,
                activation=layer.op,
                activation_bytes=layer.weight_bytes,
                bits=max(before.bits, layer.bits),
            )
            producer[layer.output] = source
        else:
            producer[layer.output] = len(fused)
            fused.append(layer)
    return tuple(fused)


def find_batches(layers: Sequence[Layer]) -> list[str]:
    """Returns the names of the layers that are given several images.

    Inside a network, a batch may be a map in pieces, as between space_to_batch and batch_to_space.
    """
    written = {layer.output for layer in layers}
    return [
        layer.name
        for layer in layers
        for name, shape in zip(layer.inputs, layer.input_shapes, strict=True)
        if name not in written and len(shape) == 4 and shape[0] != 1
    ]


def with_input_size(layers: Sequence[Layer], height: int, width: int) -> tuple[Layer, ...]:
    """Returns the layers of the same network for an input of `height` × `width`.

    Raises:
      InputError: a tensor's size is no fixed multiple of the input's, as after a padding "VALID" or a
        global mean, or would be no whole number.
    """
    written = {layer.output for layer in layers}
    source = next(
        (
            shape
            for x in layers
            for name, shape in zip(x.inputs, x.input_shapes, strict=True)
            if name not in written
        ),
        None,
    )
    if source is None or len(source) != 4:
        raise InputError("the network has no input of height and width: tiles need an image.")

    def resize(shape: Shape) -> Shape:
        if len(shape) != 4:
            raise InputError(
                f"a tensor of shape {shape} is no map [N, H, W, C], so that tiles of this network have no "
                "size."
            )
        n, h, w, c = shape
        if h * height % source[1] or w * width % source[2]:
            raise InputError(
                f"the network was given at {source[2]}×{source[1]} and has a map of {w}×{h}, which has no "
                f"whole size at {width}×{height}; choose a size that its strides divide."
            )
        return n, h * height // source[1], w * width // source[2], c

    def pixels(shape: Shape) -> int:
        return math.prod(shape[1:3])

    found = []
    for layer in layers:
        output = resize(layer.output_shape)
        found.append(
            dataclasses.replace(
                layer,
                input_shapes=tuple(map(resize, layer.input_shapes)),
                output_shape=output,
                macs=layer.macs * pixels(output) // pixels(layer.output_shape),
            )
        )
    return tuple(found)


def as_nhwc(shape: Shape) -> Map4:
    """Returns `shape` as one map: few dimensions get ones in front, of many the leading ones merge into H."""
    *leading, w, c = (1,) * (3 - len(shape)) + shape
    return 1, math.prod(leading), w, c
