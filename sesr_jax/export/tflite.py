"""TFLite through jax2tf, float or full INT8.

    export_tflite(graph, "sesr_m5_x2.tflite", ranges=calibrate(graph, images))

One conversion of the whole network would lose trained ranges. So each node of the Graph becomes a TF
piece of its own, mostly by jax2tf from the very op that JAX runs, and the pieces are joined by
`fake_quant_with_min_max_vars` seams at the quantisation points (`quant.points`). The converter reads
the seams and the result is integer from end to end with exactly these ranges: weights symmetric per
output channel from their own maxima, biases int32.

Limits: the exported size is the Graph's; one input and one output.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.export.checks import check_int8
from sesr_jax.export.flatbuffer import pack, read, with_metadata
from sesr_jax.files import replacing
from sesr_jax.graph import Graph, Node
from sesr_jax.quant import Ranges, points, validate

Tensor: TypeAlias = Any
"""A `tf.Tensor`; TensorFlow is imported only where it runs."""


def export_tflite(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    ranges: Ranges | None,
    io_dtype: Literal["int8", "uint8"] = "int8",
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes `graph` as a TFLite file; see `to_tflite`. An INT8 file is checked before it is written.

    Args:
      graph: the network at the size to export.
      path: of the file; it appears whole or not at all.
      ranges: by group of tensors, or None for a float model.
      io_dtype: of an INT8 model's input and output.
      metadata: what a reader of the bare file should know, as JSON values: `read_metadata`.

    Raises:
      InputError: see `to_tflite` and `check_int8`.
    """
    model = to_tflite(graph, ranges=ranges, io_dtype=io_dtype)
    if ranges is not None:
        check_int8(model)
    model = with_metadata(model, metadata or {})
    with replacing(path) as temporary:
        temporary.write_bytes(model)


def to_tflite(
    graph: Graph, *, ranges: Ranges | None, io_dtype: Literal["int8", "uint8"] = "int8"
) -> bytes:
    """The TFLite model of `graph`: float where `ranges` is None, full INT8 otherwise.

    Raises:
      InputError: an op has no TFLite form here, a parameter is not finite, or `ranges` do not suit
        the graph.
    """
    for node in graph.nodes:
        if node.op not in PIECES:
            raise InputError(
                f"{node.name!r} is a {node.op!r}, which has no TFLite form here; "
                f"use one of {', '.join(sorted(PIECES))}."
            )
        if not all(np.isfinite(parameter).all() for parameter in node.parameters):
            raise InputError(
                f"{node.name!r} has parameters that are not finite, which no codes stand for; "
                "load other weights."
            )
    if ranges is not None:
        validate(graph, ranges)
    if io_dtype not in ("int8", "uint8"):
        raise InputError(f"io_dtype is {io_dtype!r}: it must be 'int8' or 'uint8'; choose one.")
    return _convert(graph, ranges, io_dtype)


def _convert(graph: Graph, ranges: Ranges | None, io_dtype: str) -> bytes:
    # TF greets and warns at every conversion of what nobody can act on; failures are exceptions.
    # "1" is what importing jax leaves there.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf

    places = points(graph)

    def seam(name: str, y: Tensor) -> Tensor:
        key = places.group.get(name)
        if ranges is None or key is None:
            return y
        return tf.quantization.fake_quant_with_min_max_vars(y, *ranges[key])

    def network(x: Tensor) -> Tensor:
        values = {graph.input: seam(graph.input, x)}
        for node in graph.nodes:
            inputs = [values[name] for name in node.inputs]
            absorbed = ranges is not None and node.name in places.absorbed
            y = inputs[0] if absorbed else PIECES[node.op](node, *inputs)
            values[node.name] = seam(node.name, y)
        return values[graph.output]

    signature = [tf.TensorSpec(graph.input_shape, tf.float32, name=graph.input)]
    function = tf.function(network, input_signature=signature, autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    if ranges is not None:
        # Neither a representative dataset nor TFLITE_BUILTINS_INT8, which demands one: the seams
        # hold every range.
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io_dtype)
    # Packed once more for the alignment, which the converter's own writer forgets.
    return pack(read(converter.convert()))


def _from_jax(node: Node, *inputs: Tensor) -> Tensor:
    """The op itself, by jax2tf."""
    from jax.experimental import jax2tf

    def piece(*xs: jax.Array) -> jax.Array:
        rest = iter(xs)
        args = [next(rest) if isinstance(arg, str) else np.asarray(arg) for arg in node.args]
        return ops.OPS[node.op](*args, **node.attrs)

    return jax2tf.convert(piece, with_gradient=False)(*inputs)


def _prelu(node: Node, x: Tensor) -> Tensor:
    """As the converter's pattern for one PRELU operator has it."""
    import tensorflow as tf

    slope = np.asarray(node.parameters[0], np.float32)[None, None]
    return tf.nn.relu(x) + (-slope) * tf.nn.relu(-x)


def _conv2d_transpose(node: Node, x: Tensor) -> Tensor:
    """TF's is the gradient of a convolution: the taps mirrored, the channels exchanged."""
    import tensorflow as tf

    kernel, *bias = (np.asarray(parameter, np.float32) for parameter in node.parameters)
    mirrored = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    y = tf.nn.conv2d_transpose(x, mirrored, node.shape, node.attrs["strides"], "SAME")
    return tf.nn.bias_add(y, bias[0]) if bias else y


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.depth_to_space(x, node.attrs["block"])


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.space_to_depth(x, node.attrs["block"])


def _leaky_relu(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.leaky_relu(x, node.attrs["slope"])


def _mean(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.reduce_mean(x, node.attrs["axes"], keepdims=True)


def _resize(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.image.resize(x, node.shape[1:3], node.attrs["method"])


Piece: TypeAlias = Callable[..., Tensor]

PIECES: dict[str, Piece] = {
    "add": _from_jax,
    "clip": _from_jax,
    "concat": _from_jax,
    "conv2d": _from_jax,
    "conv2d_transpose": _conv2d_transpose,
    "depth_to_space": _depth_to_space,
    "leaky_relu": _leaky_relu,
    "max_pool": _from_jax,
    "mean": _mean,
    "mul": _from_jax,
    "prelu": _prelu,
    "relu": _from_jax,
    "resize": _resize,
    "sigmoid": _from_jax,
    "slice": _from_jax,
    "space_to_depth": _space_to_depth,
}
"""By op, the TF piece: the node and its input tensors to its output tensor."""
