"""Layers of .tflite files; the only tests here that import TensorFlow."""

import dataclasses
import pathlib
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sesr_jax.errors import InputError
from sesr_jax.export import flatbuffer
from sesr_jax.npu import estimate, find_refusal, layers_from_graph, layers_from_tflite
from sesr_jax.ops import SPECS
from sesr_jax.targets import OPERATORS, find_target, list_targets

TARGET = find_target("ethos-n78-4tops")
HEIGHT, WIDTH = 24, 32


def _convert(*, int8: bool = False, float16: bool = False, batch: int | None = 1) -> bytes:
    """SESR of two blocks as TensorFlow's own converter writes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's import and converter are full of them
        import tensorflow as tf

        rng = np.random.default_rng(0)
        sizes = [(5, 1, 16), (3, 16, 16), (3, 16, 16), (5, 16, 4)]
        kernels = [tf.constant(rng.normal(0, 0.1, (k, k, i, o)), tf.float32) for k, i, o in sizes]

        @tf.function(input_signature=[tf.TensorSpec((batch, HEIGHT, WIDTH, 1), tf.float32)])
        def network(x):
            first = h = tf.nn.relu(tf.nn.conv2d(x, kernels[0], 1, "SAME"))
            for kernel in kernels[1:-1]:
                h = tf.nn.relu(tf.nn.conv2d(h, kernel, 1, "SAME"))
            return tf.nn.depth_to_space(tf.nn.conv2d(h + first, kernels[-1], 1, "SAME"), 2)

        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [network.get_concrete_function()]
        )
        if int8:
            images = rng.random((4, 1, HEIGHT, WIDTH, 1), np.float32)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([image] for image in images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        if float16:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


@pytest.fixture(scope="session")
def model() -> bytes:
    return _convert(int8=True)


@pytest.fixture
def file(tmp_path) -> pathlib.Path:
    return tmp_path / "model.tflite"


def test_a_tflite_has_the_layers_of_its_graph(model, file, sesr):
    file.write_bytes(model)
    theirs = layers_from_tflite(file)
    ours = layers_from_graph(sesr(2, 2, HEIGHT, WIDTH))
    facts = ("op", "input_shapes", "output_shape", "kernel", "weight_bytes", "macs", "activation")
    for fact in (*facts, "bits", "strides", "groups"):
        assert [getattr(a, fact) for a in theirs] == [getattr(b, fact) for b in ours], fact
    a, b = estimate(theirs, TARGET), estimate(ours, TARGET)
    assert (a.seconds, a.dram_bytes) == (b.seconds, b.dram_bytes)


def _convert_many() -> bytes:
    """A network of operators that this project does not export."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        rng = np.random.default_rng(0)

        def kernel(*shape):
            return tf.constant(rng.normal(0, 0.1, shape), tf.float32)

        kernels = {
            "depthwise": kernel(3, 3, 4, 1),
            "transposed": kernel(3, 3, 8, 4),
            "dense": kernel(8, 5),
            "conv": kernel(3, 3, 3, 4),
        }

        @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32)])
        def network(x):
            x = tf.pad(x, [[0, 0], [2, 0], [2, 0], [0, 0]])  # unlike "SAME"
            x = tf.nn.conv2d(x, kernels["conv"], 1, "VALID")
            x = tf.nn.depthwise_conv2d(x, kernels["depthwise"], [1, 1, 1, 1], "SAME")
            x = tf.nn.relu6(x)
            y = tf.nn.conv2d_transpose(x, kernels["transposed"], (1, 32, 32, 8), 2, "SAME")
            y = tf.sigmoid(y[:, :16, ::2, :])
            z = tf.space_to_batch(y, [2, 2], [[0, 0], [0, 0]])
            z = tf.batch_to_space(z, [2, 2], [[0, 0], [0, 0]])
            z = tf.transpose(z, [0, 2, 1, 3])
            a, b = tf.split(tf.image.resize(z, (32, 32), "nearest"), 2, axis=-1)
            x = tf.concat([b, a], axis=-1)
            x = tf.nn.max_pool2d(x, 2, 2, "VALID") - tf.nn.avg_pool2d(x, 2, 2, "VALID")
            return tf.linalg.matmul(tf.reshape(tf.reduce_mean(x, [1, 2]), (1, 8)), kernels["dense"])

        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [network.get_concrete_function()]
        )
        images = rng.random((4, 1, 16, 16, 3), np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()


def test_other_peoples_operators_are_layers_with_their_sizes(file):
    file.write_bytes(_convert_many())
    layers = layers_from_tflite(file)
    found = {layer.op: layer for layer in layers}
    assert found.keys() >= {
        *("pad", "conv2d", "conv2d_transpose", "sigmoid", "slice", "batch_to_space", "transpose"),
        *("resize", "concat", "max_pool", "average_pool", "add", "mean", "fully_connected"),
    }
    assert {layer.op for layer in layers} <= set(OPERATORS.values())
    depthwise = next(layer for layer in layers if layer.groups > 1)
    assert (depthwise.groups, depthwise.macs) == (4, 9 * 4 * 16 * 16)
    assert (found["fully_connected"].macs, found["fully_connected"].weight_bytes) == (40, 40 + 20)
    assert found["conv2d_transpose"].macs == 9 * 4 * 8 * 32 * 32
    splits = [layer for layer in layers if layer.op == "slice" and layer.output_shape[-1] == 4]
    assert len(splits) == 2
    for name in list_targets():
        report = estimate(layers, find_target(name))
        assert {row.op for row in report.flagged} == {
            layer.op for layer in layers if find_refusal(layer, find_target(name))
        }
        assert all(row.cycles > 0 for row in report.flagged)


def test_everything_that_we_export_is_known():
    assert set(OPERATORS.values()) >= {spec.layer or op for op, spec in SPECS.items()}


def _with_depth_to_space_as(model: bytes, name: str) -> bytes:
    import flatbuffers

    parsed = flatbuffer.read(model)
    numbers = {value: key for key, value in flatbuffer.read_enum("BuiltinOperator").items()}
    for code in parsed.operatorCodes:
        if code.builtinCode == numbers["DEPTH_TO_SPACE"]:
            code.builtinCode = numbers[name]
            code.deprecatedBuiltinCode = min(numbers[name], 127)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(parsed.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_an_unknown_operator_is_counted_as_traffic_and_flagged(model, file):
    file.write_bytes(_with_depth_to_space_as(model, "RFFT2D"))
    report = estimate(layers_from_tflite(file), TARGET)
    (row,) = report.flagged
    assert row.op == "rfft2d"
    assert row.dram_bytes >= 2 * HEIGHT * WIDTH * 4


def test_float_tensors_are_refused_by_an_int8_npu(file):
    file.write_bytes(_convert(int8=False))
    layers = layers_from_tflite(file)
    with pytest.raises(InputError, match="32-bit"):
        estimate(layers, TARGET)


def test_constants_that_are_unpacked_are_their_readers(file):
    file.write_bytes(_convert(float16=True))
    layers = layers_from_tflite(file)
    assert [layer.op for layer in layers].count("quantize") == 0
    convolutions = [layer for layer in layers if layer.op == "conv2d"]
    assert {(layer.weight_bits, layer.bits) for layer in convolutions} == {(16, 32)}
    assert convolutions[1].weight_bytes == 2 * 9 * 16 * 16 + 4 * 16
    f16 = find_target("bm1684x-f16")
    assert not any(find_refusal(layer, f16) for layer in layers)
    # Codes of 8 bits, of 16, and floats are the same kernels there.
    for bits in (8, 32):
        others = [
            dataclasses.replace(
                layer,
                bits=16,
                weight_bits=bits,
                weight_bytes=9 * 16 * 16 * bits // 8 + 4 * 16,
            )
            for layer in convolutions[1:2]
        ]
        assert estimate(others, f16).dram_bytes == estimate(convolutions[1:2], f16).dram_bytes


def test_a_free_batch_is_one_image(model, file):
    file.write_bytes(_signed(model, (-1, HEIGHT, WIDTH, 1)))
    assert layers_from_tflite(file)[0].input_shapes == ((1, HEIGHT, WIDTH, 1),)


def test_dynamic_shapes_are_refused(model, file):
    file.write_bytes(_signed(model, (1, -1, WIDTH, 1)))
    with pytest.raises(InputError, match=r"dynamic shape \(1, -1, 32, 1\)"):
        layers_from_tflite(file)


def _signed(model: bytes, signature: tuple[int, ...]) -> bytes:
    parsed = flatbuffer.read(model)
    (graph,) = parsed.subgraphs
    graph.tensors[graph.inputs[0]].shapeSignature = list(signature)
    return flatbuffer.pack(parsed)


def test_an_operator_of_other_elements_is_flagged(model, file):
    parsed = flatbuffer.read(_with_depth_to_space_as(model, "ARG_MAX"))
    (graph,) = parsed.subgraphs
    graph.tensors[graph.outputs[0]].type = 2  # int32
    file.write_bytes(flatbuffer.pack(parsed))
    for name in ("ethos-n78-4tops", "roofline"):
        (row,) = estimate(layers_from_tflite(file), find_target(name)).flagged
        assert row.op == "arg_max"


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not a model", b"\0\0\0\0TFL3"])
def test_other_files_are_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(InputError):
        layers_from_tflite(file)


def test_a_missing_file_is_refused(file):
    with pytest.raises(InputError, match=r"model\.tflite"):
        layers_from_tflite(file)


def _survives(file: pathlib.Path, data: bytes) -> None:
    file.write_bytes(data)
    try:
        report = estimate(layers_from_tflite(file), TARGET)
    except InputError:
        return
    assert report.seconds >= 0
    assert report.to_text()


SLOW_FIXTURE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(st.floats(0, 1, exclude_max=True))
@SLOW_FIXTURE
def test_a_truncated_file_is_refused_or_read(model, file, share):
    _survives(file, model[: int(share * len(model))])


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4))))
@SLOW_FIXTURE
def test_a_damaged_file_is_refused_or_read(model, file, edits):
    data = bytearray(model)
    for place, content in edits:
        start = 8 + int(place * (len(data) - 12))
        data[start : start + len(content)] = content
    _survives(file, bytes(data))
