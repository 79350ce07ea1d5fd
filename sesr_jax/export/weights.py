"""Packs the kernels of a float file into 8 bits: it is smaller to store and to load, and computes in float.

    model = with_packed_weights(model)

Each kernel becomes symmetric codes with one scale per output channel, which a DEQUANTIZE decodes.
TensorFlow's converter has no such mode for convolutions: it folds the codes back into floats.
"""

import numpy as np

from sesr_jax.export.flatbuffer import (
    OUTPUT_AXIS,
    import_schema,
    list_operators,
    pack,
    read,
    read_enum,
)
from sesr_jax.quant.weight_codes import symmetric_scale


def with_packed_weights(model: bytes) -> bytes:
    """Returns the float TFLite model with the kernels of its convolutions as codes of 8 bits."""
    schema = import_schema()
    found = read(model)
    (subgraph,) = found.subgraphs
    names = read_enum("TensorType")
    index = {id(tensor): i for i, tensor in enumerate(subgraph.tensors)}
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 5  # the first whose codes may have a scale for each channel
    before = []
    for op in list_operators(found):
        kernel = op.inputs[1] if op.name in OUTPUT_AXIS else None
        if kernel is None or names[kernel.type] != "FLOAT32" or not kernel.buffer:
            continue
        values = np.frombuffer(bytes(found.buffers[kernel.buffer].data), np.float32)
        values = values.reshape(kernel.shape)
        axis = OUTPUT_AXIS[op.name]
        channels = tuple(-1 if i == axis else 1 for i in range(4))
        scale = symmetric_scale(values, tuple(i for i in range(4) if i != axis)).astype(np.float32)
        codes = np.rint(values / scale.reshape(channels)).astype(np.int8)

        packed, buffer = schema.TensorT(), schema.BufferT()
        buffer.data = np.frombuffer(codes.tobytes(), np.uint8)
        packed.name, packed.shape = kernel.name + b"/codes", kernel.shape
        packed.type, packed.buffer = schema.TensorType.INT8, len(found.buffers)
        packed.quantization = schema.QuantizationParametersT()
        packed.quantization.scale = scale.ravel()
        packed.quantization.zeroPoint = np.zeros(scale.size, np.int64)
        packed.quantization.quantizedDimension = axis
        unpack = schema.OperatorT()
        unpack.opcodeIndex = len(found.operatorCodes)
        unpack.inputs, unpack.outputs = [len(subgraph.tensors)], [index[id(kernel)]]
        kernel.buffer = 0  # the empty buffer, since the tensor is computed now
        found.buffers.append(buffer)
        subgraph.tensors.append(packed)
        before.append(unpack)
    if before:
        found.operatorCodes.append(code)
        subgraph.operators = [*before, *subgraph.operators]
    used = {tensor.buffer for tensor in subgraph.tensors}
    used |= {entry.buffer for entry in found.metadata or ()}
    for i, buffer in enumerate(found.buffers):
        if i not in used:
            buffer.data = None
    return pack(found)
