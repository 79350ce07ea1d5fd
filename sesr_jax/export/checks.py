"""Checks that a Graph can be written, and that an integer-only NPU runs the whole of a TFLite file.

    check_graph(graph, PIECES, "TFLite")
    check_integer("sesr_m5_x2.tflite")

A float operator between integer ones does not fail anywhere: it runs on the CPU, and tensors are copied to
the CPU and back. So the exporter refuses to write one.
"""

from collections.abc import Collection
from typing import Any, Literal

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.export.flatbuffer import (
    OUTPUT_AXIS,
    Operator,
    Source,
    list_operators,
    read,
    read_enum,
)
from sesr_jax.graph import Graph
from sesr_jax.ops import SPECS
from sesr_jax.quant import Scheme, find_points

ALLOWED_OPS = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEPTH_TO_SPACE",
        "DIV",
        "EXP",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MIRROR_PAD",
        "MUL",
        "PAD",
        "PRELU",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RELU_0_TO_1",
        "RELU_N1_TO_1",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SQRT",
        "SUB",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    }
)
"""The builtin operators that the operations of `sesr_jax.ops` become. QUANTIZE is here for the change from
one integer scale to another; where it changes
from or to float, the float tensor shows it."""

_ACTIVATIONS = {"int8": ("INT8", "UINT8"), "int16": ("INT16",)}
_OTHERS = {"int8": ("INT32",), "int16": ("INT8", "INT32", "INT64")}


def check_graph(graph: Graph, forms: Collection[str], kind: str) -> None:
    """Checks that `graph` can be written.

    Args:
      graph: the network.
      forms: the operations of `sesr_jax.ops` that such files have a form for.
      kind: the kind of file, such as "TFLite".

    Raises:
      InputError: a node's operation is not among `forms`, or a parameter is not finite.
    """
    for node in graph.nodes:
        if node.op not in forms:
            raise InputError(
                f"{node.name!r} is a {node.op!r}, which has no {kind} form here; "
                f"use one of {', '.join(sorted(forms))}."
            )
        if not all(np.isfinite(parameter).all() for parameter in node.parameters):
            raise InputError(
                f"{node.name!r} has parameters that are not finite, which no codes stand for; "
                "load other weights."
            )


def check_kernels(graph: Graph, scheme: Scheme) -> None:
    """Checks that TFLite has a kernel for every operation of `graph` on the activations of `scheme`.

    Raises:
      InputError: it has no kernel for an operation that does not stay float, or none that is as exact as
        others.
    """
    bits = 16 if scheme.activations == "int16" else 8
    group = find_points(graph, scheme).group
    for node in graph.nodes:
        spec = SPECS[node.op]
        reason = spec.no_int16 if bits == 16 else spec.no_int8
        if bits == 16 and node.attrs.get("method") == "bilinear":
            reason = "RESIZE_BILINEAR errs by more with 16 bits than with 8"
        if reason and set(node.inputs) <= group.keys() and not scheme.excludes(node.name):
            other = "int8" if bits == 16 and not spec.no_int8 else "float32"
            raise InputError(
                f"{node.name!r} is a {node.op!r}, which cannot be exported with activations of {bits} bits: "
                f"{reason}; exclude it, or export {other}."
            )


def check_integer(
    source: Source,
    allowed_ops: Collection[str] = ALLOWED_OPS,
    activations: Literal["int8", "int16"] = "int8",
) -> None:
    """Checks that a TFLite model is integer from input to output.

    Args:
      source: the file's content or path.
      allowed_ops: the names of the builtin operators that the target takes.
      activations: their codes; with "int16" biases are int64, or int32.

    Raises:
      InputError: the file cannot be read; its input or output is not of `activations`; an operator is
        not among `allowed_ops`; a tensor is of neither these codes nor those of weights, biases and sizes;
        or a convolution's weights are not symmetric int8 with a scale for each output channel.
    """
    codes = _ACTIVATIONS[activations]
    model = read(source)
    (subgraph,) = model.subgraphs
    for kind, indices in (("input", subgraph.inputs), ("output", subgraph.outputs)):
        for tensor in (subgraph.tensors[i] for i in indices):
            if _read_dtype(tensor) not in codes:
                raise InputError(
                    f"the {kind} {_read_name(tensor)!r} is {_read_dtype(tensor)}: it must be "
                    f"{' or '.join(codes)}; export with ranges."
                )
    for op in list_operators(model):
        if op.name not in allowed_ops:
            raise InputError(
                f"the operator {op.name} that writes {_read_name(op.outputs[0])!r} is not one of "
                f"{', '.join(sorted(allowed_ops))}; write the network without it, or give every "
                "tensor around it a range."
            )
        _check_weights(op)
    for tensor in subgraph.tensors:
        if _read_dtype(tensor) not in (*codes, *_OTHERS[activations]):
            raise InputError(
                f"the tensor {_read_name(tensor)!r} is {_read_dtype(tensor)}: it must be an integer; give it "
                "and the tensors around it ranges."
            )


def check_excluded(source: Source, kernels: int) -> None:
    """Checks that a mixed TFLite model has at least as many float kernels as it must have.

    Raises:
      InputError: it has fewer.
    """
    convolutions = [op for op in list_operators(read(source)) if op.name in OUTPUT_AXIS]
    floats = sum(_read_dtype(op.inputs[1]) == "FLOAT32" for op in convolutions)
    if floats < kernels:
        raise InputError(
            f"only {floats} of {kernels} excluded convolutions stay float: TensorFlow's converter quantises "
            "one that stands between two ranges; take the converter litert."
        )


def _check_weights(op: Operator) -> None:
    if op.name not in OUTPUT_AXIS:
        return
    weights = op.inputs[1]
    found = weights.quantization
    scales = 0 if found is None or found.scale is None else len(found.scale)
    channels = weights.shape[OUTPUT_AXIS[op.name]]
    if _read_dtype(weights) != "INT8" or scales != channels or any(found.zeroPoint):
        raise InputError(
            f"the weights {_read_name(weights)!r} of a {op.name} are {_read_dtype(weights)} with {scales} "
            f"scales: they must be symmetric INT8 with one for each of {channels} output channels; "
            "export again from float weights."
        )


def _read_dtype(tensor: Any) -> str:
    return read_enum("TensorType")[tensor.type]


def _read_name(tensor: Any) -> str:
    return str(tensor.name.decode())
