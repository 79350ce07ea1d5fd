"""A TFLite file says what can be, or is refused when it is read; parsing takes time in proportion to it."""

import contextlib
import struct
import time

import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.export import flatbuffer
from sesr_jax.export.flatbuffer import import_schema, list_operators, pack, read

_CODES = ("ADD", "CONV_2D", "RESHAPE")


def make_model(edit=lambda model: None):
    """A 3×3 convolution whose output is added to the input."""
    schema = import_schema()
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers = [schema.BufferT() for _ in range(3)]
    model.buffers[1].data = np.zeros(9 * 4, np.uint8)
    model.buffers[2].data = np.zeros(4, np.uint8)
    shapes = ([1, 4, 6, 1], [1, 3, 3, 1], [1], [1, 4, 6, 1], [1, 4, 6, 1])
    graph.tensors = []
    for shape, buffer in zip(shapes, (0, 1, 2, 0, 0), strict=True):
        tensor = schema.TensorT()
        tensor.shape, tensor.buffer, tensor.name = shape, buffer, b"t"
        graph.tensors.append(tensor)
    graph.inputs, graph.outputs = [0], [4]
    model.operatorCodes = []
    for name in _CODES:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        model.operatorCodes.append(code)
    conv, add = schema.OperatorT(), schema.OperatorT()
    conv.opcodeIndex, conv.inputs, conv.outputs = 1, [0, 1, 2], [3]
    conv.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    conv.builtinOptions = schema.Conv2DOptionsT()
    conv.builtinOptions.strideW = conv.builtinOptions.strideH = 1
    add.opcodeIndex, add.inputs, add.outputs = 0, [3, 0], [4]
    graph.operators = [conv, add]
    edit(model)
    return pack(model)


def test_a_sound_file_is_read():
    assert [op.name for op in list_operators(read(make_model()))] == ["CONV_2D", "ADD"]


def _set(path, value):
    """Returns an edit that sets what `path` names below the subgraph, or below the model from "model"."""

    def edit(model):
        place = model if path.startswith("model.") else model.subgraphs[0]
        *steps, last = path.removeprefix("model.").split(".")
        for step in steps:
            place = place[int(step)] if step.isdigit() else getattr(place, step)
        if last.isdigit():
            place[int(last)] = value
        else:
            setattr(place, last, value)

    return edit


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("outputs", [-1], "outputs name -1"),
        ("outputs", [5], "outputs name 5"),
        ("inputs", [9], "inputs name 9"),
        ("tensors.0.buffer", 7, "tensor 0 name 7"),
        ("tensors.3.shape", [1, -5], "tensor 3 .*-5"),
        ("tensors.3.shape", [1 << 30] * 2, "tensor 3 .*1073741824"),
        ("operators.0.opcodeIndex", 3, "codes name 3"),
        ("operators.0.inputs", [0, 1, 8], "operator 0, CONV_2D, name 8"),
        ("operators.0.inputs", [0, -1, 2], "operator 0, CONV_2D, lacks its input 1"),
        ("operators.1.inputs", [3, -1], "operator 1, ADD, lacks its input 1"),
        ("operators.0.inputs", [0], "CONV_2D, reads 1 tensors and must read 2"),
        ("operators.0.outputs", [], "writes nothing"),
        ("operators.0.outputs", [-1], "operator 0, CONV_2D, name -1"),
        ("operators.0.outputs", [1], "operator 0 writes tensor 1"),
        ("operators.1.outputs", [0], "operator 1 writes tensor 0"),
        ("operators.0.inputs", [4, 1, 2], "operator 0 reads tensor 4"),
        ("operators.0.builtinOptions.strideW", 0, "strideW 0"),
        ("operators.0.builtinOptions.dilationHFactor", -1, "dilationHFactor -1"),
        ("tensors.1.shape", [3, 3], "2 dimensions"),
        (
            "tensors.3.shape",
            [1, 4, 7, 1],
            r"makes \[1, 4, 6, 1\] of \[1, 4, 6, 1\], .*\[1, 4, 7, 1\]",
        ),
        ("tensors.3.shape", [2, 4, 6, 1], "makes .*2, 4, 6, 1"),
        ("tensors.1.shape", [1, 3, 3, 2], "reads 1 channels with a kernel"),
        ("operators.0.builtinOptions.padding", 1, r"makes \[1, 2, 4, 1\]"),
        ("operators", [], "tensor 4, is written by nothing"),
        ("model.operatorCodes.0.builtinCode", 250, "operator 250"),
        ("model.subgraphs", [], "0 subgraphs"),
    ],
)
def test_what_cannot_be_is_refused(path, value, said):
    with pytest.raises(InputError, match=rf"damaged TFLite model: .*{said}") as refused:
        read(make_model(_set(path, value)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("operators.0.builtinOptions.dilationWFactor", 3),
        ("tensors.3.shapeSignature", [1, -1, -1, 1]),
        ("tensors.0.shapeSignature", [-1, 4, 6, 1]),
    ],
)
def test_what_can_be_is_read(path, value):
    read(make_model(_set(path, value)))


def test_an_absent_bias_is_sound():
    read(make_model(_set("operators.0.inputs", [0, 1, -1])))


@pytest.mark.parametrize(
    "metadata",
    [
        b"[1]",
        b"{",
        b"[" * 10_000,
        b'{"host_blocks": [0]}',
        b'{"host_blocks": "2"}',
        b'{"ranges": 3}',
        b'{"ranges": {"x": [1]}}',
        b'{"tail": 5}',
        b'{"collapse": "no"}',
        b'{"cross_check": {"converter": "x"}}',
    ],
)
def test_metadata_that_are_others_are_refused(metadata):
    def edit(model):
        schema = import_schema()
        entry, buffer = schema.MetadataT(), schema.BufferT()
        buffer.data = np.frombuffer(metadata, np.uint8)
        entry.name, entry.buffer = b"sesr_jax", len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [entry]

    with pytest.raises(InputError, match="metadata"):
        flatbuffer.read_metadata(make_model(edit))


def _make_bomb(count):
    """A file of 4 · count bytes with `count` subgraphs, each of which is one that has `count` tensors."""
    import flatbuffers

    schema = import_schema()
    builder = flatbuffers.Builder(1 << 12)
    schema.TensorStart(builder)
    tensor = schema.TensorEnd(builder)

    def share(start, table):
        start(builder, count)
        for _ in range(count):
            builder.PrependUOffsetTRelative(table)
        return builder.EndVector()

    tensors = share(schema.SubGraphStartTensorsVector, tensor)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    graphs = share(schema.ModelStartSubgraphsVector, graph)
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_tables_that_are_shared_a_million_times_are_refused_at_once():
    bomb = _make_bomb(1000)
    assert len(bomb) < 10_000
    start = time.process_time()
    with pytest.raises(InputError, match="lie over each other"):
        read(bomb)
    assert time.process_time() - start < 5  # it took a minute and more


def test_offsets_that_lead_out_of_the_file_are_refused():
    data = bytearray(make_model())
    for place in range(0, 64, 4):
        changed = bytearray(data)
        changed[place : place + 4] = struct.pack("<I", 0x7FFF_FFF0)
        with contextlib.suppress(InputError):  # in a number that leads nowhere, it is harmless
            read(bytes(changed))
