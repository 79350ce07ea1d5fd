"""Converts a Graph to a TFLite model through jax2tf and TensorFlow's converter.

    model = convert(graph, ranges, Options())

One conversion of the whole network would lose the ranges. So each node of the Graph becomes a TF piece of
its own, mostly by jax2tf from the very operation that JAX runs, and the pieces are joined by
`fake_quant_with_min_max_vars` seams at the quantisation points (`quant.find_points`). The converter reads the
seams, and the result is integer from end to end with exactly these ranges: weights symmetric per output
channel from their own maxima, biases integers of the sums' scale. Seams of 16 bits make "16x8" files,
for which the converter's own way would need a representative dataset and would ignore given ranges.
"""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np

from sesr_jax import ops
from sesr_jax.errors import InputError, require_extra
from sesr_jax.export.options import Options
from sesr_jax.graph import Graph, Node
from sesr_jax.quant import Ranges, find_points

Tensor: TypeAlias = Any
"""A `tf.Tensor`; TensorFlow is imported only where it runs."""


def convert(graph: Graph, ranges: Ranges, options: Options) -> bytes:
    """Returns the TFLite model of `graph`; `ranges` are read where activations are integers.

    Raises:
      InputError: the converter fails.
    """
    silence_tensorflow()
    with require_extra("export", "the converter jax2tf"):
        import tensorflow as tf
        from tensorflow.lite.python.convert_phase import ConverterError

    places = find_points(graph, options.scheme)
    group, absorbed = places.group, places.absorbed if options.absorbs_clips else ()

    def seam(name: str, y: Tensor) -> Tensor:
        if name not in group:
            return y
        low, high = ranges[group[name]]
        if options.precision == "int8":
            return tf.quantization.fake_quant_with_min_max_vars(y, low, high)
        end = max(-low, high)
        return tf.quantization.fake_quant_with_min_max_vars(
            y, -end, end, num_bits=16, narrow_range=True
        )

    def network(x: Tensor) -> Tensor:
        values = {graph.input: seam(graph.input, x)}
        for node in graph.nodes:
            inputs = [values[name] for name in node.inputs]
            y = inputs[0] if node.name in absorbed else PIECES[node.op](node, *inputs)
            values[node.name] = seam(node.name, y)
        return values[graph.output]

    signature = [tf.TensorSpec(graph.input_shape, tf.float32, name=graph.input)]
    function = tf.function(network, input_signature=signature, autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    if options.precision in ("int8", "int16", "dynamic", "float16"):
        # The seams hold every range. So it needs neither a representative dataset nor
        # TFLITE_BUILTINS_INT8, which demands one.
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if options.precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if graph.input in group:
        converter.inference_input_type = tf.as_dtype(options.precision)
    if graph.output in group:
        converter.inference_output_type = tf.as_dtype(options.precision)
    try:
        return bytes(converter.convert())
    except ConverterError as error:
        # The first line says what is wrong; the frames of the trace follow it.
        said = str(error).partition("\n")[0].partition("error: ")[2]
        raise InputError(
            f"TensorFlow's converter cannot write this network ({said or error}); take the converter litert, "
            "or build the network without what it names."
        ) from error


def silence_tensorflow() -> None:
    """Silences TensorFlow, which logs at every conversion what nobody can act on; failures are exceptions."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":  # what importing jax leaves there
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def _run_operation(node: Node, *inputs: Tensor) -> Tensor:
    """Runs the operation itself, by jax2tf."""
    from jax.experimental import jax2tf

    def piece(*xs: jax.Array) -> jax.Array:
        rest = iter(xs)
        args = [next(rest) if isinstance(arg, str) else np.asarray(arg) for arg in node.args]
        return ops.OPS[node.op](*args, **node.attrs)

    return jax2tf.convert(piece, with_gradient=False)(*inputs)


def _prelu(node: Node, x: Tensor) -> Tensor:
    """Computes what the converter's pattern recognises as one PRELU operator."""
    import tensorflow as tf

    slope = np.asarray(node.parameters[0], np.float32)[None, None]
    return tf.nn.relu(x) + (-slope) * tf.nn.relu(-x)


def _conv2d_transpose(node: Node, x: Tensor) -> Tensor:
    """Runs TensorFlow's form, the gradient of a convolution: mirrored taps, exchanged channels."""
    import tensorflow as tf

    kernel, *bias = (np.asarray(parameter, np.float32) for parameter in node.parameters)
    mirrored = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    strides, padding = node.attrs["strides"], node.attrs["padding"]
    y = tf.nn.conv2d_transpose(x, mirrored, node.shape, strides, padding)
    return tf.nn.bias_add(y, bias[0]) if bias else y


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    block = node.attrs["block"]
    if node.attrs.get("form") != "transpose":
        return tf.nn.depth_to_space(x, block)
    # Batch and rows become one axis, and a pixel's columns keep their channels, so that rank 4 suffices.
    n, height, width, channels = x.shape
    rows = tf.reshape(x, (n * height, width, block, channels // block))
    return tf.reshape(tf.transpose(rows, (0, 2, 1, 3)), node.shape)


def _channel_shuffle(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    n, height, width, channels = x.shape
    groups = node.attrs["groups"]
    rows = tf.reshape(x, (n * height, width, groups, channels // groups))
    return tf.reshape(tf.transpose(rows, (0, 1, 3, 2)), node.shape)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.space_to_depth(x, node.attrs["block"])


def _leaky_relu(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.leaky_relu(x, node.attrs["slope"])


def _mean(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.reduce_mean(x, node.attrs["axes"], keepdims=True)


def _unbias(node: Node, x: Tensor, like: Tensor) -> Tensor:
    return x * np.float32(ops.bessel_factor(like.shape, node.attrs["axes"]))


def _sqrt(_: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.sqrt(x)


def _softmax(_: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.nn.softmax(x)


def _pad(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.pad(x, ((0, 0), *node.attrs["padding"], (0, 0)), node.attrs["mode"])


def _average_pool(node: Node, x: Tensor) -> Tensor:
    import tensorflow as tf

    window, strides = node.attrs["window"], node.attrs["strides"]
    return tf.nn.avg_pool2d(x, window, strides, node.attrs["padding"])


def _resize(node: Node, x: Tensor, *_: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.image.resize(x, node.shape[1:3], node.attrs["method"])


Piece: TypeAlias = Callable[..., Tensor]

PIECES: dict[str, Piece] = {
    "add": _run_operation,
    "average_pool": _average_pool,
    "channel_shuffle": _channel_shuffle,
    "clip": _run_operation,
    "concat": _run_operation,
    "conv2d": _run_operation,
    "conv2d_transpose": _conv2d_transpose,
    "depth_to_space": _depth_to_space,
    "div": _run_operation,
    "exp": _run_operation,
    "leaky_relu": _leaky_relu,
    "max_pool": _run_operation,
    "mean": _mean,
    "mul": _run_operation,
    "pad": _pad,
    "prelu": _prelu,
    "relu": _run_operation,
    "resize": _resize,
    "resize_like": _resize,
    "sigmoid": _run_operation,
    "slice": _run_operation,
    "softmax": _softmax,
    "space_to_depth": _space_to_depth,
    "sqrt": _sqrt,
    "sub": _run_operation,
    "tanh": _run_operation,
    "unbias": _unbias,
}
"""For each operation, the function in TensorFlow from a node and its input tensors to its output tensor."""
