"""Verifies TFLite files before and after they are parsed, since parsing and all that follows trust them.

A flatbuffer is a graph of offsets. They can lead out of the file, and many of them to one place, so that
8 kB become millions of objects; and the numbers in it can name tensors that do not exist.
"""

import math
from typing import Any

from sesr_jax.errors import InputError

_SHARED = 4
"""How often, on average, a file's bytes may be parsed: writers share equal strings and little else."""

_MOST_ELEMENTS = 1 << 40  # of a tensor: beyond any real one

_POSITIVE = ("strideW", "strideH", "dilationWFactor", "dilationHFactor", "blockSize")
_POSITIVE_POOL = ("filterWidth", "filterHeight")

_NEEDED = {
    "AVERAGE_POOL_2D": ("Pool2DOptionsT", 1),
    "CONV_2D": ("Conv2DOptionsT", 2),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptionsT", 2),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptionsT", 1),
    "FULLY_CONNECTED": ("FullyConnectedOptionsT", 2),
    "MAX_POOL_2D": ("Pool2DOptionsT", 1),
    "RESIZE_BILINEAR": ("ResizeBilinearOptionsT", 2),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptionsT", 2),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptionsT", 1),
    "TRANSPOSE_CONV": ("TransposeConvOptionsT", 3),
}
"""The options of the operators that this package looks into, and how many inputs they read at least."""

_KEEPING = (
    "CAST",
    "DEQUANTIZE",
    "HARD_SWISH",
    "LEAKY_RELU",
    "LOGISTIC",
    "PRELU",
    "QUANTIZE",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "TANH",
)
"""Operators whose output has the shape of their first input."""

_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


def check_size(data: bytes, schema: Any) -> None:
    """Checks that parsing takes time and memory in proportion to the size of `data`.

    Raises:
      InputError: tables and strings that are counted as often as they are reached come to a multiple of
        the file's size.
      struct.error, ValueError, …: an offset leads out of the file.
    """
    model = schema.Model.GetRootAs(data, 0)
    left = _SHARED * len(data) + 4096

    def take(count: int) -> None:
        nonlocal left
        left -= count
        if left < 0:
            raise InputError(
                "its tables and strings lie over each other, and would take many times its size"
            )

    def walk(table: Any, vectors: tuple[str, ...]) -> None:
        for name in vectors:
            count = getattr(table, f"{name}Length")()
            take(8 * count)  # an offset, and the least table that it leads to
            for i in range(count):
                inner = getattr(table, name)(i)
                take(
                    sum(
                        _measure_string(inner, text)
                        for text in _STRINGS.get(type(inner).__name__, ())
                    )
                )
                walk(inner, _VECTORS.get(type(inner).__name__, ()))
                if (sparsity := getattr(inner, "Sparsity", lambda: None)()) is not None:
                    walk(sparsity, ("DimMetadata",))

    walk(model, _VECTORS["Model"])


_VECTORS: dict[str, tuple[str, ...]] = {
    "Model": (
        "OperatorCodes",
        "Subgraphs",
        "Buffers",
        "Metadata",
        "SignatureDefs",
        "ExternalBufferGroups",
        "ExternalBuffers",
    ),
    "SubGraph": ("Tensors", "Operators"),
    "Tensor": ("VariantTensors",),
    "SignatureDef": ("Inputs", "Outputs"),
}
"""The schema's vectors of tables; vectors of numbers are read in place."""

_STRINGS: dict[str, tuple[str, ...]] = {
    "OperatorCode": ("CustomCode",),
    "SubGraph": ("Name",),
    "Tensor": ("Name",),
    "Metadata": ("Name",),
    "SignatureDef": ("SignatureKey",),
    "TensorMap": ("Name",),
    "ExternalBufferGroup": ("Name",),
    "ExternalBuffer": ("Packing",),
}


def _measure_string(table: Any, name: str) -> int:
    return len(getattr(table, name)() or b"")


def check_model(model: Any, schema: Any, names: dict[int, str]) -> None:
    """Checks that a parsed model says what can be: all numbers that name something, shapes and options.

    Args:
      model: the schema's `ModelT`.
      schema: the module of the schema.
      names: the names of the builtin operators by number.

    Raises:
      InputError: it does not; the message is a clause about the file.
    """
    subgraphs = list(model.subgraphs or ())
    if len(subgraphs) != 1:
        raise InputError(f"it has {len(subgraphs)} subgraphs and must have one")
    (graph,) = subgraphs
    for name in ("tensors", "inputs", "outputs"):
        if getattr(graph, name) is None:
            raise InputError(f"it has no {name}")
    if model.buffers is None:
        raise InputError("it has no buffers")
    graph.operators, model.operatorCodes = graph.operators or [], model.operatorCodes or []
    for number, tensor in enumerate(graph.tensors):
        _check_tensor(tensor, number, len(model.buffers))
    count = len(graph.tensors)
    for edge in ("inputs", "outputs"):
        _check_indices(getattr(graph, edge), count, f"the model's {edge}")
    for entry in model.metadata or ():
        _check_indices([entry.buffer], len(model.buffers), "the buffers of its metadata")
    codes = [_name_operator(code, names) for code in model.operatorCodes]
    for number, op in enumerate(graph.operators):
        _check_indices([op.opcodeIndex], len(codes), "the operators' codes")
        name = codes[op.opcodeIndex]
        label = f"operator {number}, {name},"
        op.inputs, op.outputs = (_or_empty(edge) for edge in (op.inputs, op.outputs))
        absent = [i for i, index in enumerate(op.inputs) if index == -1]
        if absent and absent[0] < 2 and name != "CUSTOM" and "LSTM" not in name:
            raise InputError(f"{label} lacks its input {absent[0]}")
        _check_indices([i for i in op.inputs if i != -1], count, f"the inputs of {label}")
        _check_indices(op.outputs, count, f"the outputs of {label}")
        if not len(op.outputs):
            raise InputError(f"{label} writes nothing")
        _check_operator(op, name, label, graph.tensors, schema)
    _check_order(graph, model.buffers)
    for number, op in enumerate(graph.operators):
        name = codes[op.opcodeIndex]
        _check_shapes(op, name, f"operator {number}, {name},", graph.tensors, schema)


def _check_shapes(op: Any, name: str, label: str, tensors: list[Any], schema: Any) -> None:
    """Checks that what an operator writes has the shape that LiteRT would give it.

    LiteRT overwrites the shapes of a file, so that it runs files which lie; all else believes them. Shapes
    with sides that are open are not compared.
    """
    there = [_find_shape(tensors[i]) for i in op.inputs if i != -1]
    written = _find_shape(tensors[op.outputs[0]])
    if written is None or not there or there[0] is None:
        return
    first = there[0]
    if name in _KEEPING:
        expected = first
    elif name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        kernel, options = there[1], op.builtinOptions
        if kernel is None:
            return
        depth, channels = (kernel[3], kernel[0]) if name == "CONV_2D" else (1, kernel[3])
        if depth < 1 or first[3] % depth or channels % (first[3] // depth or 1):
            raise InputError(f"{label} reads {first[3]} channels with a kernel {list(kernel)}")
        apart = (options.dilationHFactor, options.dilationWFactor)
        steps = (options.strideH, options.strideW)
        valid = options.padding == schema.Padding.VALID
        sides = [
            -(-(first[i] - (kernel[i] - 1) * apart[i - 1] * valid) // steps[i - 1]) for i in (1, 2)
        ]
        expected = (first[0], *sides, channels)
    else:
        return
    if written != expected:
        raise InputError(
            f"{label} makes {list(expected)} of {list(first)}, where the file says {list(written)}"
        )


def _find_shape(tensor: Any) -> tuple[int, ...] | None:
    """Returns the shape of a tensor; None where a side is open, or where it has no shape."""
    shape, signature = tensor.shape, tensor.shapeSignature
    if shape is None or (signature is not None and any(n < 0 for n in signature)):
        return None
    return tuple(map(int, shape))


def _check_order(graph: Any, buffers: list[Any]) -> None:
    """Checks that operators read what is there by then, and that each writes tensors of its own."""
    there = {int(i) for i in graph.inputs}
    for number, tensor in enumerate(graph.tensors):
        buffer = buffers[tensor.buffer]
        size = math.prod(map(int, _or_empty(tensor.shape)))
        # Data of more than 2 GB lie behind the flatbuffer, at an offset.
        stored = len(_or_empty(buffer.data)) or (buffer.offset or 0) > 1 or tensor.externalBuffer
        if stored or tensor.isVariable or size == 0:
            there.add(number)
    for number, op in enumerate(graph.operators):
        for index in op.inputs:
            if index not in there and index != -1:
                raise InputError(
                    f"operator {number} reads tensor {index}, which nothing wrote before"
                )
        for index in map(int, op.outputs):
            if index in there and not graph.tensors[index].isVariable:
                raise InputError(f"operator {number} writes tensor {index}, which is there already")
        there.update(map(int, op.outputs))
    for index in graph.outputs:
        if index not in there:
            raise InputError(f"the output, tensor {index}, is written by nothing")


def _or_empty(vector: Any) -> Any:
    return () if vector is None else vector


def _check_tensor(tensor: Any, number: int, buffers: int) -> None:
    _check_indices([tensor.buffer], buffers, f"the buffer of tensor {number}")
    shape = [] if tensor.shape is None else [int(n) for n in tensor.shape]
    if any(n < -1 for n in shape) or math.prod(map(abs, shape)) > _MOST_ELEMENTS:
        raise InputError(f"tensor {number} has the impossible shape {shape}")
    found = tensor.quantization
    if found is None or found.scale is None:
        return
    zeros = 0 if found.zeroPoint is None else len(found.zeroPoint)
    if zeros not in (0, len(found.scale)):
        raise InputError(f"tensor {number} has {len(found.scale)} scales and {zeros} zero points")
    if not zeros:
        found.zeroPoint = [0] * len(found.scale)
    if not all(math.isfinite(scale) for scale in found.scale):
        raise InputError(f"tensor {number} has a scale that is not finite")


def _name_operator(code: Any, names: dict[int, str]) -> str:
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if code.customCode is None and builtin not in names:
        raise InputError(f"it has the operator {builtin}, which the schema does not know")
    return names.get(builtin, "CUSTOM")


def _check_operator(op: Any, name: str, label: str, tensors: list[Any], schema: Any) -> None:
    if name not in _NEEDED:
        return
    options, least = _NEEDED[name]
    if op.builtinOptions is None:  # a table whose values are all 0 may be left out
        op.builtinOptions = getattr(schema, options)()
    if type(op.builtinOptions).__name__ != options:
        raise InputError(
            f"{label} has {type(op.builtinOptions).__name__} in the place of {options}"
        )
    if len(op.inputs) < least or any(i == -1 for i in op.inputs[:least]):
        raise InputError(f"{label} reads {len(op.inputs)} tensors and must read {least} or more")
    wanted = _POSITIVE + (_POSITIVE_POOL if "POOL" in name else ())
    for field in wanted:
        if (value := getattr(op.builtinOptions, field, 1)) < 1:
            raise InputError(f"{label} has {field} {value}, which must be 1 or more")
    for index in (*op.inputs[:least], op.outputs[0]):
        shape = tensors[index].shape
        rank = 0 if shape is None else len(shape)
        # Sizes and shapes are vectors, and a fully connected layer takes images of any rank.
        if name in _KERNELS and rank != 4 and not (name == "TRANSPOSE_CONV" and rank == 1):
            raise InputError(f"{label} has a tensor of {rank} dimensions, which must be 4")
    if name == "FULLY_CONNECTED" and len(tensors[op.inputs[1]].shape) != 2:
        raise InputError(f"{label} has weights of {len(tensors[op.inputs[1]].shape)} dimensions")


def _check_indices(indices: Any, count: int, what: str) -> None:
    if indices is None:
        raise InputError(f"{what} are missing")
    for index in indices:
        if not 0 <= index < count:
            raise InputError(f"{what} name {int(index)}, and there are {count}")
