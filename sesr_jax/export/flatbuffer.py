"""Reads and writes TFLite files as the Python objects of their generated schema, and adds what that lacks.

    model = read("sesr_m5_x2.tflite")
    for op in list_operators(model): print(op.name, [tensor.name for tensor in op.inputs])

Limits: one subgraph, which is all that a feed-forward network has.
"""

import dataclasses
import functools
import json
import math
import os
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import numpy as np

from sesr_jax.errors import InputError, require_extra
from sesr_jax.export.verify import check_model, check_size
from sesr_jax.schema import POSITIVE, build
from sesr_jax.untrusted import parse_json, read_bytes, refuse_damaged

Source: TypeAlias = bytes | str | os.PathLike[str]
"""A TFLite file's content, or its path."""

_IDENTIFIER = b"TFL3"
_METADATA = b"sesr_jax"
_COMPILED = b"ethos-u"
"""The custom operator that holds all commands for an Ethos-U."""


OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}
"""The axis of output channels of the kernel of each operator that has one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator: its builtin's name, and the schema's own objects.

    Attributes:
      name: the name of the builtin operator, e.g. "CONV_2D", or a custom operator's code.
      options: the schema's options table, e.g. `Conv2DOptionsT`; None where the operator has none.
      inputs: the tensors that it reads; None stands for an optional one that is absent.
      outputs: the tensors that it writes.
    """

    name: str
    options: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


def read_content(source: Source) -> bytes:
    """Returns the bytes of a TFLite file.

    Raises:
      InputError: there is no such file, or it is not TFLite.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    if data[4:8] != _IDENTIFIER:
        raise InputError(
            f"{_name_source(source)} is not a TFLite model: bytes 4..8 are {data[4:8]!r} and must be "
            f"{_IDENTIFIER!r}; export it again."
        )
    return data


def import_schema() -> Any:
    """Returns the module of the classes that are generated from TFLite's schema.

    Raises:
      InputError: they are not installed.
    """
    with require_extra("export", "reading and writing TFLite files"):
        from ai_edge_litert import schema_py_generated
    return schema_py_generated


def read(source: Source) -> Any:
    """Parses a TFLite file into the schema's `ModelT`.

    All numbers in it that name a tensor, a buffer or an operator's code do so, operators stand in an order in
    which they can run, and convolutions, poolings and resizings have their options and inputs.

    Raises:
      InputError: there is no such file, it is not TFLite, it is damaged, or a compiler made commands of it.
    """
    schema = import_schema()
    data = read_content(source)
    try:
        with refuse_damaged("its bytes are no model"):
            check_size(data, schema)
            model = schema.ModelT.InitFromPackedBuf(data, 0)
            compiled = any(code.customCode == _COMPILED for code in model.operatorCodes or ())
            if not compiled:
                check_model(model, schema, read_enum("BuiltinOperator"))
    except InputError as error:
        raise InputError(
            f"{_name_source(source)} is a damaged TFLite model: {str(error).rstrip('.')}."
        ) from error
    if compiled:
        raise InputError(
            f"{_name_source(source)} is compiled for Ethos-U by Vela already: its operators are the NPU's "
            "commands; give the file from which Vela made it."
        )
    return model


def list_operators(model: Any) -> tuple[Operator, ...]:
    """Returns the operators of `model` in the order in which they run."""
    (subgraph,) = model.subgraphs
    tensors = [*subgraph.tensors, None]  # the index -1 stands for an absent tensor
    found = []
    for op in subgraph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        # Old writers fill the one-byte field alone.
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        custom = code.customCode
        found.append(
            Operator(
                name=custom.decode("utf-8", "replace")
                if custom
                else read_enum("BuiltinOperator")[builtin],
                options=op.builtinOptions,
                inputs=tuple(tensors[i] for i in op.inputs),
                outputs=tuple(tensors[i] for i in op.outputs),
            )
        )
    return tuple(found)


def macs(operator: Operator) -> int:
    """Returns the multiply-accumulates of one operator, a transposed convolution's at its output's pixels."""
    if operator.name != "FULLY_CONNECTED" and operator.name not in OUTPUT_AXIS:
        return 0
    _, *kernel = map(int, operator.inputs[1].shape)
    if operator.name == "DEPTHWISE_CONV_2D":  # its kernel is [1, H, W, channels of output]
        kernel = kernel[:2]
    return math.prod(kernel) * sum(math.prod(map(int, out.shape)) for out in operator.outputs)


@functools.cache
def read_enum(enum: str) -> dict[int, str]:
    """Returns the names of one of the schema's enumerations, such as "TensorType", by value."""
    schema = import_schema()
    return {value: name for name, value in vars(getattr(schema, enum)).items() if name.isupper()}


def pack(model: Any) -> bytes:
    """Returns the file of a `ModelT`, its buffers aligned to 16 bytes.

    The schema demands this alignment (``force_align``), and the Python code generated from it omits it.
    Kernels with vector loads need it, above all on microcontrollers.
    """
    import flatbuffers

    class Aligned(flatbuffers.Builder):
        def StartVector(self, size: int, count: int, alignment: int) -> Any:  # noqa: N802
            return super().StartVector(size, count, 16 if size == 1 else alignment)

    builder = Aligned(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def with_unsigned_edges(data: bytes) -> bytes:
    """Returns the model with UINT8 for an INT8 input or output: a QUANTIZE there adds 128 to the codes."""
    schema = import_schema()
    model = read(data)
    (subgraph,) = model.subgraphs
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
    code.version = 1
    for edge in ("inputs", "outputs"):
        (index,) = getattr(subgraph, edge)
        signed, unsigned = subgraph.tensors[index], schema.TensorT()
        if signed.type != schema.TensorType.INT8:
            continue
        unsigned.name, unsigned.shape = signed.name + b"/unsigned", signed.shape
        unsigned.type = schema.TensorType.UINT8
        unsigned.quantization = schema.QuantizationParametersT()
        unsigned.quantization.scale = signed.quantization.scale
        unsigned.quantization.zeroPoint = signed.quantization.zeroPoint + 128
        op, place = schema.OperatorT(), len(subgraph.tensors)
        op.opcodeIndex = len(model.operatorCodes)
        op.inputs, op.outputs = ([place], [index]) if edge == "inputs" else ([index], [place])
        subgraph.tensors.append(unsigned)
        subgraph.operators.insert(0 if edge == "inputs" else len(subgraph.operators), op)
        setattr(subgraph, edge, [place])
    model.operatorCodes.append(code)
    model.signatureDefs = None  # they name the tensors that were there before
    return pack(model)


def with_metadata(source: Source, metadata: Mapping[str, Any]) -> bytes:
    """Returns the model with `metadata` as JSON in the entry "sesr_jax"."""
    schema = import_schema()
    model = read(source)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(json.dumps(dict(metadata), sort_keys=True).encode(), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return pack(model)


def read_metadata(source: Source) -> dict[str, Any]:
    """Returns the metadata that `export_tflite` wrote; they are empty in a file from elsewhere.

    Raises:
      InputError: as `read`, or the metadata are damaged.
    """
    model, what = read(source), f"the metadata of {_name_source(source)}"
    for entry in model.metadata or ():
        if entry.name == _METADATA:
            data = model.buffers[entry.buffer].data
            metadata = parse_json(b"" if data is None else bytes(data), what)
            build(_Metadata, metadata, what)
            return dict(metadata)
    return {}


def _name_source(source: Source) -> str:
    return "the given model" if isinstance(source, bytes) else repr(os.fspath(source))


@dataclasses.dataclass(frozen=True)
class _Collapse:
    difference: float | None


@dataclasses.dataclass(frozen=True)
class _CrossCheck:
    converter: str
    largest_difference: float


@dataclasses.dataclass(frozen=True)
class _Metadata:
    """The types of those metadata that somebody reads."""

    tail: str = ""
    host_blocks: tuple[Annotated[int, POSITIVE], ...] = ()
    ranges: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    collapse: _Collapse | None = None
    cross_check: _CrossCheck | None = None
