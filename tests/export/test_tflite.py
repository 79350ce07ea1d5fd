"""TFLite files against the network that they came from."""

import itertools
import pathlib
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import CASES, RNG, Export, lone, rms, simulate
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel, check_int8, export_tflite, read_metadata, to_tflite
from sesr_jax.export.flatbuffer import operators, read
from sesr_jax.export.tflite import PIECES
from sesr_jax.graph import run, trace
from sesr_jax.quant import affine, calibrate, points

NETWORKS = list(itertools.product(["sesr_m3", "sesr_m3_hw", "fsrcnn"], [2, 3, 4]))
Exported = Callable[[str, int], Export]


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
    check_int8(export.int8)
    actual = TFLiteModel(export.int8)(photo)
    expected = simulate(export.graph, export.ranges, photo)
    float32 = np.clip(run(export.graph, jnp.asarray(photo)), 0, 1)
    # Rounding alone explains its distance from the float network. Kernel sets break ties differently,
    # which moves single pixels.
    assert rms(actual - float32) < 1.02 * rms(expected - float32)
    assert rms(actual - expected) < 0.25 * rms(expected - float32)


@pytest.mark.parametrize(("name", "scale"), NETWORKS)
def test_an_int8_file_carries_exactly_the_given_ranges(
    exported: Exported, name: str, scale: int
) -> None:
    export = exported(name, scale)
    group = points(export.graph).group
    expected = [
        affine(*export.ranges[group[node.name]])
        for node in export.graph.nodes
        if node.name in group
    ]
    written = [op.outputs[0].quantization for op in operators(read(export.int8))]
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
    written = [op.inputs[1] for op in operators(read(export.int8)) if "CONV_2D" in op.name]
    for kernel, weights in zip(kernels, written, strict=True):
        largest = np.abs(kernel).max(axis=(0, 1, 2))
        np.testing.assert_allclose(weights.quantization.scale, largest / 127, rtol=1e-5)


def test_an_unsigned_file_differs_from_a_signed_one_in_its_codes_alone(
    exported: Exported, photo: np.ndarray
) -> None:
    export = exported("sesr_m3", 2)
    model = TFLiteModel(to_tflite(export.graph, ranges=export.ranges, io_dtype="uint8"))
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
    check_int8(model)
    low, high = ranges[points(graph).group[graph.output]]
    actual, expected = TFLiteModel(model)(x), simulate(graph, ranges, x)
    # A code of the output, for kernels that round twice where the simulation rounds once.
    np.testing.assert_allclose(actual, expected, atol=1.01 * affine(low, high)[0])
    assert actual.std() > 0.01


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_parameters_that_are_not_finite_are_refused(wrong: float) -> None:
    graph = trace(nn.Sequential([lambda x: ops.mul(x, wrong)]), {}, (1, 12, 16, 4))
    with pytest.raises(InputError, match="'mul' has parameters that are not finite"):
        to_tflite(graph, ranges=None)


def test_ranges_that_do_not_suit_are_refused(exported: Exported) -> None:
    export = exported("sesr_m3", 2)
    without = {key: value for key, value in export.ranges.items() if key != "add_2"}
    with pytest.raises(InputError, match="'add_2' has no range"):
        to_tflite(export.graph, ranges=without)
    with pytest.raises(InputError, match=r"\[0, 0\] of 'add_2' is unusable"):
        to_tflite(export.graph, ranges=without | {"add_2": (0.0, 0.0)})


def test_an_unknown_input_type_is_refused(exported: Exported) -> None:
    export = exported("sesr_m3", 2)
    with pytest.raises(InputError, match="'int16'"):
        to_tflite(export.graph, ranges=export.ranges, io_dtype="int16")  # type: ignore[arg-type]


def test_an_operation_without_a_piece_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PIECES, "mul")
    with pytest.raises(InputError, match="'mul' is a 'mul', which has no TFLite form"):
        to_tflite(lone("mul"), ranges=None)


def test_a_file_tells_what_it_is_and_runs_as_before(
    exported: Exported, photo: np.ndarray, tmp_path: pathlib.Path
) -> None:
    export = exported("sesr_m3", 2)
    told = {"model": "sesr_m3", "scale": 2, "channel": "y", "note": "Größe ×2"}
    path = tmp_path / "sesr.tflite"
    export_tflite(export.graph, path, ranges=export.ranges, metadata=told)
    assert read_metadata(path) == told
    assert read_metadata(export.int8) == {}
    np.testing.assert_array_equal(TFLiteModel(path)(photo), TFLiteModel(export.int8)(photo))
    assert [p.name for p in tmp_path.iterdir()] == ["sesr.tflite"]


def test_nothing_is_written_when_the_check_refuses(
    exported: Exported, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = exported("sesr_m3", 2)
    monkeypatch.setattr(
        "sesr_jax.export.tflite.check_int8", lambda model: check_int8(model, {"CONV_2D"})
    )
    with pytest.raises(InputError, match="ADD"):
        export_tflite(export.graph, tmp_path / "sesr.tflite", ranges=export.ranges)
    assert not list(tmp_path.iterdir())


def test_buffers_are_aligned_as_the_schema_demands(exported: Exported) -> None:
    data = exported("sesr_m3", 2).int8
    long = [bytes(b.data) for b in read(data).buffers if b.data is not None and len(b.data) > 500]
    assert long
    assert {data.find(content) % 16 for content in long} == {0}
