"""Layers of any .tflite file, read from its flatbuffer without running it.

    layers = layers_from_tflite("sesr_m5_x2.tflite")

Shapes must be static. Operators outside `OPERATORS` come through under their own names in lower case,
with their tensors' sizes, so that an estimate can count their traffic and flag them. An operator with
several outputs is a layer for each. Constants that the file unpacks by a DEQUANTIZE, as those of float16
files, are their readers' own.
"""

import dataclasses
import math
import os
from typing import Any

from sesr_jax.errors import InputError, UnsupportedError
from sesr_jax.export import flatbuffer
from sesr_jax.npu.layers import BIAS_BYTES, Layer, Shape, fuse_activations
from sesr_jax.targets import OPERATORS

_BITS = {"INT4": 4, "INT8": 8, "UINT8": 8, "INT16": 16, "FLOAT16": 16}
"""Bits of an element; what is not listed is taken as 32."""

_MAX_ELEMENTS = 1 << 40  # beyond any real tensor: a damaged shape


def layers_from_tflite(path: str | os.PathLike[str]) -> tuple[Layer, ...]:
    """Returns the layers of the model in `path`, in the order in which it runs them.

    Raises:
      InputError: the file cannot be read, is no TFLite model, or is damaged.
      UnsupportedError: it has no operators, or tensors of dynamic or impossible shapes.
    """
    model = flatbuffer.read(path)
    try:
        return _read_layers(model)
    except InputError:
        raise
    # A damaged file can parse and still point anywhere.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{os.fspath(path)!r} is a damaged TFLite model ({type(error).__name__}: {error}); "
            "convert or download it again."
        ) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tensor:
    name: str
    shape: Shape
    bits: int
    constant: bool

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return -(-self.size * self.bits // 8)


def _read_layers(model: Any) -> tuple[Layer, ...]:
    (graph,) = model.subgraphs
    index = {id(tensor): i for i, tensor in enumerate(graph.tensors)}

    def read(found: Any) -> _Tensor:
        return _read_tensor(model, found, index[id(found)])

    layers: list[Layer] = []
    unpacked: dict[str, _Tensor] = {}
    for i, operator in enumerate(flatbuffer.list_operators(model)):
        inputs = [read(found) for found in operator.inputs if found is not None]
        inputs = [unpacked.get(one.name, one) for one in inputs]
        if operator.name == "DEQUANTIZE" and inputs[0].constant:
            unpacked[read(operator.outputs[0]).name] = inputs[0]
            continue
        for number, found in enumerate(operator.outputs):
            label = f"{i}_{operator.name.lower()}" + (f"/{number}" if number else "")
            layer = _read_operator(operator, label, inputs, read(found))
            layers += _with_activation(
                layer, getattr(operator.options, "fusedActivationFunction", 0)
            )
    if not layers:
        raise UnsupportedError("the TFLite model has no operators; convert it again.")
    outputs = [read(graph.tensors[i]).name for i in graph.outputs]
    return fuse_activations(layers, outputs=outputs)


def _read_tensor(model: Any, tensor: Any, index: int) -> _Tensor:
    """Returns the facts of a tensor that an operator uses.

    Raises:
      UnsupportedError: its shape is dynamic or impossible.
    """
    label = (tensor.name or b"").decode("utf-8", "replace")
    shape = _to_integers(tensor.shape)
    signature = _to_integers(tensor.shapeSignature) or shape
    # A free batch, as Keras leaves it, is the one image of the shape.
    if min((*shape, *signature[1:]), default=1) < 0:
        raise UnsupportedError(
            f"the tensor {label!r} has the dynamic shape {signature}; convert the model with a fixed "
            "input size."
        )
    if not 1 <= math.prod(shape) <= _MAX_ELEMENTS:
        raise UnsupportedError(
            f"the tensor {label!r} has the impossible shape {shape}; convert it again."
        )
    buffer = model.buffers[tensor.buffer]
    kind = flatbuffer.read_enum("TensorType").get(tensor.type, "")
    return _Tensor(
        name=f"{index}:{label}",  # names need not be unique
        shape=shape,
        bits=_BITS.get(kind, 32),
        # Data beyond 2 GB lies outside the flatbuffer, at an offset.
        constant=_count(buffer.data) > 0 or (buffer.offset or 0) > 1,
    )


def _read_operator(
    operator: flatbuffer.Operator, label: str, inputs: list[_Tensor], output: _Tensor
) -> Layer:
    """Returns the layer `label` that an operator is for one of its outputs."""
    name, options = operator.name, operator.options
    data = [tensor for tensor in inputs if not tensor.constant]
    constants = [tensor for tensor in inputs if tensor.constant]
    op = OPERATORS.get(name, name.lower())
    if op == "clip" and len(data) > 1:
        op = name.lower()  # of two activations: not a bound
    kernel, groups, weight_bytes, elements = (1, 1), 1, 0, 0
    weight_bits = max((tensor.bits for tensor in constants), default=8)
    if name == "FULLY_CONNECTED":
        outputs, _ = inputs[1].shape
        weight_bytes = inputs[1].bytes + BIAS_BYTES * outputs
        weight_bits = inputs[1].bits
    elif name in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
        weight = inputs[1]
        out_channels, kh, kw, depth = weight.shape  # OHWI
        kernel = (kh, kw)
        channels = data[0].shape[-1]
        if name == "DEPTHWISE_CONV_2D":  # 1HWO
            out_channels, depth = depth, 1
        groups = channels // depth
        weight_bytes = weight.bytes + BIAS_BYTES * out_channels
        weight_bits = weight.bits
    elif name.endswith("POOL_2D"):
        kernel = (options.filterHeight, options.filterWidth)
    elif name == "RESIZE_BILINEAR":
        kernel = (2, 2)
    elif op == "prelu" and sum(tensor.size for tensor in constants) == 1:
        op = "leaky_relu"
    elif op in ("add", "mul", "prelu"):
        # Elsewhere constants are axes, sizes, bounds: a few bytes of the command stream.
        weight_bytes = sum(tensor.bytes for tensor in constants)
        elements = sum(tensor.size for tensor in constants)
    return Layer(
        name=label,
        op=op,
        inputs=tuple(tensor.name for tensor in data),
        input_shapes=tuple(tensor.shape for tensor in data),
        output=output.name,
        output_shape=output.shape,
        kernel=kernel,
        strides=(getattr(options, "strideH", 1), getattr(options, "strideW", 1)),
        dilations=(
            getattr(options, "dilationHFactor", 1),
            getattr(options, "dilationWFactor", 1),
        ),
        groups=groups,
        weight_bytes=weight_bytes,
        weight_bits=weight_bits,
        constants=elements,
        macs=flatbuffer.macs(operator),
        bits=max(tensor.bits for tensor in [*data, output]),
    )


def _with_activation(layer: Layer, function: int) -> list[Layer]:
    """Returns the layer and, as a layer of its own, the activation that is built into its operator."""
    if not function:
        return [layer]
    name = flatbuffer.read_enum("ActivationFunctionType")[function]
    inner = f"{layer.output}/{layer.name}"
    activation = Layer(
        name=f"{layer.name}/{name.lower()}",
        op=OPERATORS.get(name, name.lower()),
        inputs=(inner,),
        input_shapes=(layer.output_shape,),
        output=layer.output,
        output_shape=layer.output_shape,
        bits=layer.bits,
    )
    return [dataclasses.replace(layer, output=inner), activation]


def _to_integers(array: Any) -> tuple[int, ...]:
    """Returns a vector of the schema, of which an absent one is None."""
    return () if array is None else tuple(int(n) for n in array)


def _count(array: Any) -> int:
    return 0 if array is None else len(array)
