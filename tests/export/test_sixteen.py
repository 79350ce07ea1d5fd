"""Files of 16-bit activations and 8-bit weights."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import CASES, RNG, Export, lone

from sesr_jax.errors import InputError
from sesr_jax.export import KERNELS, Options, TFLiteModel, check_integer, to_tflite
from sesr_jax.export.flatbuffer import list_operators, read, read_enum
from sesr_jax.export.options import Converter
from sesr_jax.export.tflite import CONVERTERS
from sesr_jax.graph import Node, run
from sesr_jax.ops import SPECS
from sesr_jax.quant import affine, calibrate, fake, find_points

Exported = Callable[[str, int], Export]
SIXTEEN = Options(precision="int16")


def _reason(node: Node) -> str | None:
    """Why no file of 16 bits holds `node`; None where one does."""
    if node.attrs.get("method") == "bilinear":
        return "RESIZE_BILINEAR"
    return SPECS[node.op].no_int16


@pytest.mark.parametrize("case", CASES)
def test_operations_compute_what_the_scheme_says_or_are_refused(case: str) -> None:
    graph = lone(case)
    x = RNG.uniform(size=graph.input_shape).astype(np.float32)
    ranges = calibrate(graph, [x], SIXTEEN.scheme)
    refused = next((node for node in graph.nodes if _reason(node)), None)
    if refused is not None:
        with pytest.raises(InputError, match=f"^{refused.name!r}.*: {_reason(refused)}"):
            to_tflite(graph, ranges=ranges, options=SIXTEEN)
        return
    model = to_tflite(graph, ranges=ranges, options=SIXTEEN)
    check_integer(model, activations="int16")
    expected = fake.run(graph, ranges, jnp.asarray(x), SIXTEEN.scheme)
    low, high = ranges[find_points(graph, SIXTEEN.scheme).group[graph.output]]
    step, _ = affine(low, high, "int16")
    # A PReLU is three operators, each of which rounds.
    np.testing.assert_allclose(TFLiteModel(model)(x), expected, atol=4 * step)


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
    types = read_enum("TensorType")
    group = find_points(export.graph, options.scheme).group
    low, high = export.ranges[group["relu_2"]]
    written = [op.outputs[0].quantization for op in list_operators(model)]
    scales = [float(found.scale[0]) for found in written]
    assert {int(found.zeroPoint[0]) for found in written} == {0}
    assert np.isclose(scales, max(-low, high) / 32767, rtol=1e-5).any()
    convolutions = [op for op in list_operators(model) if "CONV_2D" in op.name]
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
