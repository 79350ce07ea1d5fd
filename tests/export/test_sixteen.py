"""Files of 16-bit activations and 8-bit weights."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import CASES, RNG, Export, lone

from sesr_jax.errors import InputError
from sesr_jax.export import KERNELS, Options, TFLiteModel, check_integer, to_tflite
from sesr_jax.export.flatbuffer import enum_names, operators, read
from sesr_jax.export.options import Converter
from sesr_jax.export.tflite import CONVERTERS
from sesr_jax.graph import run
from sesr_jax.quant import affine, calibrate, fake, points

Exported = Callable[[str, int], Export]
SIXTEEN = Options(precision="int16")
REFUSED = (
    "concat",
    "concat with the image",
    "depth_to_space of colours",
    "resize bilinear",
    "sigmoid",
    "space_to_depth",
)


@pytest.mark.parametrize("case", sorted(CASES.keys() - set(REFUSED)))
def test_operations_compute_what_the_scheme_says(case: str) -> None:
    graph = lone(case)
    x = RNG.uniform(size=graph.input_shape).astype(np.float32)
    ranges = calibrate(graph, [x], SIXTEEN.scheme)
    model = to_tflite(graph, ranges=ranges, options=SIXTEEN)
    check_integer(model, activations="int16")
    expected = fake.run(graph, ranges, jnp.asarray(x), SIXTEEN.scheme)
    low, high = ranges[points(graph, SIXTEEN.scheme).group[graph.output]]
    step, _ = affine(low, high, "int16")
    # A PReLU is three operators, each of which rounds.
    np.testing.assert_allclose(TFLiteModel(model)(x), expected, atol=4 * step)


@pytest.mark.parametrize("case", REFUSED)
def test_operations_without_a_kernel_are_refused_by_name(case: str) -> None:
    graph = lone(case)
    ranges = calibrate(graph, [RNG.uniform(size=graph.input_shape)], SIXTEEN.scheme)
    with pytest.raises(InputError, match="does not run well with 16 bits; exclude it"):
        to_tflite(graph, ranges=ranges, options=SIXTEEN)


@pytest.mark.parametrize("name", ["sesr_m3", "sesr_m3_hw", "fsrcnn"])
def test_networks_are_finer_than_int8_and_the_same_by_both_converters(
    exported: Exported, photo: np.ndarray, name: str
) -> None:
    export = exported(name, 2)
    ranges = calibrate(export.graph, [photo], SIXTEEN.scheme)
    expected = fake.run(export.graph, ranges, jnp.asarray(photo), SIXTEEN.scheme)
    files = {}
    for converter in CONVERTERS:
        options = Options(precision="int16", converter=converter)  # type: ignore[arg-type]
        files[converter] = to_tflite(export.graph, ranges=ranges, options=options)
        check_integer(files[converter], activations="int16")
    for kernels in KERNELS:
        first, second = (TFLiteModel(file, kernels=kernels)(photo) for file in files.values())
        # Scales of biases may differ by the last bit.
        np.testing.assert_allclose(first, second, atol=3 / 32767)
    float32 = np.clip(run(export.graph, jnp.asarray(photo)), 0, 1)
    int8 = np.std(TFLiteModel(export.int8)(photo) - float32)
    assert np.std(first - expected) < 0.02 * int8
    assert np.std(np.clip(first, 0, 1) - float32) < int8


@pytest.mark.parametrize("converter", CONVERTERS)
def test_ranges_are_symmetric_and_biases_wide(exported: Exported, converter: Converter) -> None:
    export = exported("sesr_m3_hw", 2)
    options = Options(precision="int16", converter=converter)
    model = read(to_tflite(export.graph, ranges=export.ranges, options=options))
    types = enum_names("TensorType")
    group = points(export.graph, options.scheme).group
    low, high = export.ranges[group["relu_2"]]
    written = [op.outputs[0].quantization for op in operators(model)]
    scales = [float(found.scale[0]) for found in written]
    assert {int(found.zeroPoint[0]) for found in written} == {0}
    assert np.isclose(scales, max(-low, high) / 32767, rtol=1e-5).any()
    convolutions = [op for op in operators(model) if "CONV_2D" in op.name]
    assert {types[op.inputs[1].type] for op in convolutions} == {"INT8"}
    assert {types[op.inputs[2].type] for op in convolutions} == {"INT64"}


def test_a_clip_of_its_own_and_any_tail_but_one(exported: Exported, photo: np.ndarray) -> None:
    export = exported("sesr_m3", 2)
    bright = photo * 2 - 0.5
    plain = TFLiteModel(to_tflite(export.graph, ranges=export.ranges, options=SIXTEEN))(bright)
    assert plain.min() < 0
    options = Options(precision="int16", clip=True, tail="transposed_conv")
    clipped = TFLiteModel(to_tflite(export.graph, ranges=export.ranges, options=options))(bright)
    np.testing.assert_array_equal(clipped, np.clip(plain, 0, 1))
