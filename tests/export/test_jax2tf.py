"""What files by jax2tf compute, against the network that they came from."""

import itertools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import CASES, RNG, Export, lone, simulate

from sesr_jax import ops
from sesr_jax.export import Options, TFLiteModel, check_integer, to_tflite
from sesr_jax.export.flatbuffer import list_operators, read
from sesr_jax.export.jax2tf import PIECES
from sesr_jax.graph import run
from sesr_jax.quant import affine, calibrate, find_points

NETWORKS = list(itertools.product(["sesr_m3", "sesr_m3_hw", "fsrcnn"], [2, 3, 4]))
Exported = Callable[[str, int], Export]


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize(("name", "scale"), NETWORKS)
def test_a_float_file_computes_what_jax_does(
    exported: Exported, photo: np.ndarray, name: str, scale: int
) -> None:
    export = exported(name, scale)
    model = TFLiteModel(export.float32)
    expected = run(export.graph, jnp.asarray(photo))
    np.testing.assert_allclose(model(photo), expected, atol=1e-5)
    assert model.scale == scale
    assert model.input is model.output is None


@pytest.mark.parametrize(("name", "scale"), NETWORKS)
def test_an_int8_file_is_integer_and_computes_what_the_ranges_say(
    exported: Exported, photo: np.ndarray, name: str, scale: int
) -> None:
    export = exported(name, scale)
    check_integer(export.int8)
    actual = TFLiteModel(export.int8)(photo)
    expected = simulate(export.graph, export.ranges, photo)
    float32 = np.clip(run(export.graph, jnp.asarray(photo)), 0, 1)
    # Rounding alone explains its distance from the float network. PReLU's kernel rounds twice, which moves
    # single pixels wherever a slope times a scale is near a half.
    assert rms(actual - float32) < 1.02 * rms(expected - float32)
    assert rms(actual - expected) < 0.6 * rms(expected - float32)


@pytest.mark.parametrize(("name", "scale"), NETWORKS)
def test_an_int8_file_carries_exactly_the_given_ranges(
    exported: Exported, name: str, scale: int
) -> None:
    export = exported(name, scale)
    group = find_points(export.graph).group
    expected = [
        affine(*export.ranges[group[node.name]])
        for node in export.graph.nodes
        if node.name in group
    ]
    written = [op.outputs[0].quantization for op in list_operators(read(export.int8))]
    assert [int(found.zeroPoint[0]) for found in written] == [zero for _, zero in expected]
    assert [float(found.scale[0]) for found in written] == [scale for scale, _ in expected]
    model = TFLiteModel(export.int8)
    for codes in (model.input, model.output):
        assert codes is not None
        assert (codes.scale, codes.zero_point) == affine(0.0, 1.0)


def test_weights_are_symmetric_codes_of_the_collapsed_kernel_per_channel(
    exported: Exported,
) -> None:
    export = exported("sesr_m3", 2)
    kernels = [n.parameters[0] for n in export.graph.nodes if n.op == "conv2d"]
    written = [op.inputs[1] for op in list_operators(read(export.int8)) if "CONV_2D" in op.name]
    for kernel, weights in zip(kernels, written, strict=True):
        largest = np.abs(kernel).max(axis=(0, 1, 2))
        np.testing.assert_allclose(weights.quantization.scale, largest / 127, rtol=1e-5)


def test_an_unsigned_file_differs_from_a_signed_one_in_its_codes_alone(
    exported: Exported, photo: np.ndarray
) -> None:
    export = exported("sesr_m3", 2)
    model = TFLiteModel(to_tflite(export.graph, ranges=export.ranges, options=Options(io="uint8")))
    assert model.input is not None
    assert (model.input.dtype, model.input.zero_point) == (np.uint8, 0)
    np.testing.assert_array_equal(model(photo), TFLiteModel(export.int8)(photo))


def test_every_operation_has_a_piece_and_a_case() -> None:
    assert ops.OPS.keys() == PIECES.keys()
    assert ops.OPS.keys() == {case.split()[0] for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_every_operation_exports_to_float_and_int8(case: str) -> None:
    graph = lone(case)
    x = RNG.uniform(size=graph.input_shape).astype(np.float32)
    y = np.asarray(run(graph, jnp.asarray(x)))
    np.testing.assert_allclose(TFLiteModel(to_tflite(graph, ranges=None))(x), y, atol=1e-5)

    ranges = calibrate(graph, [x])
    model = to_tflite(graph, ranges=ranges)
    check_integer(model)
    low, high = ranges[find_points(graph).group[graph.output]]
    actual, expected = TFLiteModel(model)(x), simulate(graph, ranges, x)
    # A code of the output, for kernels that round twice where the simulation rounds once.
    np.testing.assert_allclose(actual, expected, atol=1.01 * affine(low, high)[0])
    assert actual.std() > 0.01
