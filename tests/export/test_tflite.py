"""TFLite files: what is asked of them, what they tell, and what is refused."""

import dataclasses
import pathlib
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from export_samples import RNG, Export, lone
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.export import (
    KERNELS,
    Options,
    TFLiteModel,
    check_integer,
    export_tflite,
    jax2tf,
    read_metadata,
    to_tflite,
)
from sesr_jax.export.flatbuffer import list_operators, read, read_enum
from sesr_jax.export.options import Converter, Precision
from sesr_jax.export.tflite import CONVERTERS
from sesr_jax.graph import TAILS, Graph, Tail, run, trace
from sesr_jax.ops import SPECS
from sesr_jax.quant import Ranges, calibrate, fake, find_points

Exported = Callable[[str, int], Export]


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


def test_an_operation_without_a_piece_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(jax2tf.PIECES, "mul")
    with pytest.raises(InputError, match="'mul' is a 'mul', which has no TFLite form"):
        to_tflite(lone("mul"), ranges=None)


def test_an_operation_without_an_integer_kernel_is_refused_by_name_and_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = "TFLite has no EXP of codes"
    monkeypatch.setitem(SPECS, "exp", dataclasses.replace(SPECS["exp"], no_int8=reason))
    graph = lone("exp")
    ranges = calibrate(graph, [RNG.uniform(size=graph.input_shape)])
    with pytest.raises(InputError, match=rf"^'exp' is a 'exp'.* 8 bits: {reason}; .*float32"):
        to_tflite(graph, ranges=ranges)
    to_tflite(graph, ranges=None)
    with pytest.raises(InputError, match=r"16 bits: EXP with 16 bits .*float32"):
        to_tflite(graph, ranges=ranges, options=Options(precision="int16"))


def test_a_file_tells_what_it_is_and_how_it_was_made(
    exported: Exported, photo: np.ndarray, tmp_path: pathlib.Path
) -> None:
    export = exported("sesr_m3", 2)
    told = {"model": "sesr_m3", "scale": 2, "note": "Größe ×2"}
    path = tmp_path / "sesr.tflite"
    export_tflite(export.graph, path, ranges=export.ranges, metadata=told)
    found = read_metadata(path)
    assert told.items() <= found.items()
    assert (found["precision"], found["tail"], found["converter"]) == (
        "int8",
        "depth_to_space",
        "jax2tf",
    )
    assert {key: tuple(ends) for key, ends in found["ranges"].items()} == export.ranges
    assert read_metadata(export.int8) == {}
    np.testing.assert_array_equal(TFLiteModel(path)(photo), TFLiteModel(export.int8)(photo))
    assert {p.name for p in tmp_path.iterdir()} == {"sesr.tflite", "sesr.golden.npz"}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("converter", CONVERTERS)
def test_every_tail_by_both_converters_gives_the_same_codes_on_every_kernel_set(
    exported: Exported, photo: np.ndarray, tmp_path: pathlib.Path, tail: Tail, converter: Converter
) -> None:
    export, path = exported("sesr_m3_hw", 4), tmp_path / "sesr.tflite"
    options = Options(tail=tail, converter=converter, clip=tail == "transpose")
    export_tflite(export.graph, path, ranges=export.ranges, options=options)
    for kernels in KERNELS:
        model = TFLiteModel(path, kernels=kernels)
        assert model.output_shape == (1, 240, 320, 1)
        expected = TFLiteModel(export.int8, kernels=kernels)(photo)
        np.testing.assert_array_equal(model(photo), expected)
    end = {
        "depth_to_space": ["CONV_2D", "DEPTH_TO_SPACE", "DEPTH_TO_SPACE"],
        "transpose": ["RELU_0_TO_1", "RESHAPE", "TRANSPOSE", "RESHAPE", "TRANSPOSE", "RESHAPE"],
        "transposed_conv": ["CONV_2D", "TRANSPOSE_CONV", "TRANSPOSE_CONV"],
        "none": ["ADD", "CONV_2D"],
    }[tail]
    assert [op.name for op in list_operators(read(path))][-len(end) :] == end


def test_a_float_file_is_clipped_by_its_own_operator_alone(
    exported: Exported, photo: np.ndarray
) -> None:
    graph = exported("sesr_m3", 2).graph
    bright = photo * 4 - 1
    for clip in (False, True):
        options = Options(precision="float32", clip=clip)
        y = TFLiteModel(to_tflite(graph, ranges=None, options=options))(bright)
        assert (y.min() >= 0 and y.max() <= 1) == clip


@pytest.mark.parametrize("converter", CONVERTERS)
def test_excluded_layers_compute_in_float_as_the_simulation_says(
    exported: Exported, photo: np.ndarray, converter: Converter
) -> None:
    export = exported("sesr_m3", 2)
    options = Options(exclude=("block_1/*",), converter=converter)
    ranges = {
        key: export.ranges[key] for key in find_points(export.graph, options.scheme).group.values()
    }
    model = to_tflite(export.graph, ranges=ranges, options=options)
    floats = [
        op.inputs[1].name
        for op in list_operators(read(model))
        if op.name == "CONV_2D" and op.inputs[1].type == 0
    ]
    assert len(floats) == 1
    expected = fake.run(export.graph, ranges, jnp.asarray(photo), options.scheme)
    apart = TFLiteModel(model)(photo) - expected
    float32 = np.clip(run(export.graph, jnp.asarray(photo)), 0, 1)
    assert np.std(apart) < 0.6 * np.std(expected - float32)  # ties that fell to the other code
    with pytest.raises(InputError, match="operator DEQUANTIZE"):
        check_integer(model)


def test_an_excluded_layer_between_two_ranges_needs_the_other_converter(exported: Exported) -> None:
    export = exported("sesr_m3_hw", 2)
    exclude = ("block_1/*",)
    with pytest.raises(InputError, match=r"only 0 of 1 excluded.*take the converter litert"):
        to_tflite(export.graph, ranges=export.ranges, options=Options(exclude=exclude))
    model = to_tflite(
        export.graph, ranges=export.ranges, options=Options(exclude=exclude, converter="litert")
    )
    assert [op.name for op in list_operators(read(model))].count("DEQUANTIZE") == 1


@pytest.mark.parametrize(
    ("precision", "stored", "tolerance"), [("float16", "FLOAT16", 2e-3), ("dynamic", "INT8", 0.05)]
)
def test_smaller_float_files_are_close(
    exported: Exported, photo: np.ndarray, precision: Precision, stored: str, tolerance: float
) -> None:
    export = exported("sesr_m3", 2)
    model = to_tflite(export.graph, ranges=None, options=Options(precision=precision))
    assert len(model) < 0.7 * len(export.float32)
    types = {read_enum("TensorType")[tensor.type] for tensor in read(model).subgraphs[0].tensors}
    assert stored in types
    loaded = TFLiteModel(model)
    assert loaded.input is None
    difference = loaded(photo) - TFLiteModel(export.float32)(photo)
    assert 0 < np.abs(difference).max() < tolerance


def test_the_other_converter_is_compared_on_request(
    exported: Exported, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, path = exported("sesr_m3", 2), tmp_path / "sesr.tflite"
    export_tflite(export.graph, path, ranges=export.ranges, cross_check=True)
    told = read_metadata(path)["cross_check"]
    assert told == {"converter": "litert", "largest_difference": 0}

    def other(graph: Graph, ranges: Ranges, options: Options) -> bytes:
        return to_tflite(exported("sesr_m3_hw", 2).graph, ranges=exported("sesr_m3_hw", 2).ranges)

    monkeypatch.setitem(CONVERTERS, "litert", other)  # type: ignore[arg-type]
    export_tflite(export.graph, path, ranges=export.ranges, cross_check=True)
    assert read_metadata(path)["cross_check"]["largest_difference"] > 1


def test_nothing_is_written_when_a_check_refuses(
    exported: Exported, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = exported("sesr_m3", 2)

    def refuse(path: pathlib.Path) -> None:
        assert TFLiteModel(path).scale == 2
        raise InputError("not that one")

    path = tmp_path / "sesr.tflite"
    with pytest.raises(InputError, match="not that one"):
        export_tflite(export.graph, path, ranges=export.ranges, accept=refuse)
    monkeypatch.setattr(
        "sesr_jax.export.tflite.check_integer", lambda model, **_: check_integer(model, {"CONV_2D"})
    )
    with pytest.raises(InputError, match="ADD"):
        export_tflite(export.graph, path, ranges=export.ranges)
    assert not list(tmp_path.iterdir())


def test_an_integer_file_without_ranges_is_refused(exported: Exported) -> None:
    with pytest.raises(InputError, match="precision int16 needs ranges"):
        to_tflite(exported("sesr_m3", 2).graph, ranges=None, options=Options(precision="int16"))


def test_buffers_are_aligned_as_the_schema_demands(exported: Exported) -> None:
    data = exported("sesr_m3", 2).int8
    long = [bytes(b.data) for b in read(data).buffers if b.data is not None and len(b.data) > 500]
    assert long
    assert {data.find(content) % 16 for content in long} == {0}
