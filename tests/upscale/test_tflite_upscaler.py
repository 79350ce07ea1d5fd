"""A .tflite file as an upscaler: tiles of its own size give what the whole image would."""

import copy
import dataclasses

import jax
import numpy as np
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.data import open_embedded
from sesr_jax.errors import InputError
from sesr_jax.export import Options, TFLiteModel, export_network, export_tflite
from sesr_jax.export.flatbuffer import import_schema, pack, read
from sesr_jax.graph import measure_extent, trace
from sesr_jax.models import network
from sesr_jax.upscale import from_tflite, in_domain, upscale_photo, upscale_tiled
from sesr_jax.upscale.value_range import with_range


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    made = network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), expansion=4).collapse()
    for name, size in (("tile", (40, 48)), ("whole", (75, 90))):
        export_network(
            made, folder / f"{name}.tflite", size=size, calibration=open_embedded("train")[:2]
        )
    return folder, made


def test_facts_of_a_file(exported):
    folder, made = exported
    upscaler = from_tflite(folder / "tile.tflite")
    assert (upscaler.name, upscaler.scale, upscaler.channels) == ("tile", 2, 1)
    assert upscaler.tile == (40, 48)
    assert upscaler.extent.halo == measure_extent(made.trace((1, 40, 48, 1))).halo


def test_tiles_equal_a_file_of_the_whole_size_code_for_code(exported):
    folder, _ = exported
    image = np.random.default_rng(0).random((75, 90, 1)).astype(np.float32)
    upscaler = from_tflite(folder / "tile.tflite")
    tiled = upscale_tiled(
        upscaler.function, image, scale=2, tile=upscaler.tile, halo=upscaler.extent.halo
    )
    np.testing.assert_array_equal(tiled, TFLiteModel(folder / "whole.tflite")(image[None])[0])


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_tiles_run_beside_each_other_and_give_the_same_photo(exported, tmp_path, precision):
    path = exported[0] / "tile.tflite"
    if precision == "float32":
        path = tmp_path / "float.tflite"
        export_network(exported[1], path, size=(40, 48), options=Options(precision=precision))
    photo = np.random.default_rng(0).integers(0, 256, (175, 190, 3), np.uint8)
    upscaler, shapes = from_tflite(path), []

    def count(x):
        shapes.append(x.shape)
        return upscaler.concurrent(x)

    beside = dataclasses.replace(upscaler, concurrent=count)
    one_by_one = dataclasses.replace(upscaler, concurrent=None)
    np.testing.assert_array_equal(upscale_photo(beside, photo), upscale_photo(one_by_one, photo))
    assert len(shapes) > 20
    assert set(shapes) == {(1, 40, 48, 1)}


def test_a_range_holds_for_tiles_that_run_beside_each_other(exported):
    upscaler = with_range(from_tflite(exported[0] / "tile.tflite"), 255)
    x = np.random.default_rng(0).random((1, 40, 48, 1)).astype(np.float32) / 255
    np.testing.assert_array_equal(upscaler.concurrent(x), upscaler.function(x))
    assert upscaler.function(x).max() > 0


@pytest.mark.parametrize("tail", ["transpose", "transposed_conv", "none"])
def test_other_tails_give_the_same_photo(exported, tail):
    folder, made = exported
    path = folder / f"{tail}.tflite"
    images = open_embedded("train")[:2]
    export_network(made, path, size=(40, 48), calibration=images, options=Options(tail=tail))
    photo = open_embedded("eval")[1].hr[:75, :90]
    upscaler, plain = from_tflite(path), from_tflite(folder / "tile.tflite")
    assert (upscaler.scale, upscaler.tile) == (2, (40, 48))
    assert upscaler.extent.halo >= plain.extent.halo
    np.testing.assert_array_equal(upscale_photo(upscaler, photo), upscale_photo(plain, photo))
    # One that runs at no other size is measured in tiles of its own.
    y = np.random.default_rng(0).random((75, 90, 1)).astype(np.float32)
    np.testing.assert_array_equal(in_domain(upscaler, "y")(y), in_domain(plain, "y")(y))


def test_photos_smaller_than_the_file_s_size(exported):
    folder, _ = exported
    photo = open_embedded("eval")[0].hr[:30, :100]
    assert upscale_photo(from_tflite(folder / "tile.tflite"), photo).shape == (60, 200, 3)


def test_files_that_are_no_model(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"TFL3 but not quite")
    with pytest.raises(InputError, match=r"x\.tflite"):
        from_tflite(tmp_path / "x.tflite")
    with pytest.raises(InputError, match=r"none\.tflite"):
        from_tflite(tmp_path / "none.tflite")


def _edited(path, out, edit):
    """`path` with its model changed by `edit`."""
    model = read(path)
    edit(model.subgraphs[0])
    out.write_bytes(pack(model))
    return out


@pytest.mark.parametrize(
    ("edge", "scale", "zero_point", "codes"),
    [
        ("inputs", 1.0, -128, "input from 0 to 255"),
        ("outputs", 1 / 127.5, -128 + 127, "output from -0.996"),
    ],
)
def test_codes_that_are_no_pixels_are_refused(exported, tmp_path, edge, scale, zero_point, codes):
    """Images would become a few of them, silently."""

    def edit(subgraph):
        # The last operator moves pixels, whose codes stay what they are.
        moved = subgraph.operators[-1].inputs if edge == "outputs" else ()
        for index in (*getattr(subgraph, edge), *moved):
            quantisation = subgraph.tensors[index].quantization
            quantisation.scale, quantisation.zeroPoint = [scale], [zero_point]

    path = _edited(exported[0] / "tile.tflite", tmp_path / "x.tflite", edit)
    with pytest.raises(InputError, match=codes):
        from_tflite(path)


def test_images_with_their_channels_first_are_refused_by_name(exported, tmp_path):
    """A transposition at either end, as converters from PyTorch's files leave it."""

    def edit(model):
        schema = import_schema()
        (subgraph,) = model.subgraphs
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE
        model.operatorCodes.append(code)
        for edge, axes, place in (("inputs", [0, 2, 3, 1], 0), ("outputs", [0, 3, 1, 2], 99)):
            (index,) = getattr(subgraph, edge)
            inner = subgraph.tensors[index]
            outer, axis = copy.copy(inner), schema.TensorT()
            n, h, w, c = inner.shape
            outer.shape, axis.shape, axis.type = [n, c, h, w], [4], schema.TensorType.INT32
            order = schema.BufferT()
            order.data = np.array(axes, np.int32).view(np.uint8)
            axis.buffer, count = len(model.buffers), len(subgraph.tensors)
            model.buffers.append(order)
            subgraph.tensors += [outer, axis]
            op, ends = schema.OperatorT(), [count, index]
            op.opcodeIndex = len(model.operatorCodes) - 1
            source, target = ends if edge == "inputs" else reversed(ends)
            op.inputs, op.outputs = [source, count + 1], [target]
            subgraph.operators.insert(place, op)
            setattr(subgraph, edge, [count])
        model.signatureDefs = None

    model = read(exported[0] / "tile.tflite")
    edit(model)
    (tmp_path / "x.tflite").write_bytes(pack(model))
    with pytest.raises(InputError, match=r"x\.tflite .*channels first, \[1, 1, 40, 48\]"):
        from_tflite(tmp_path / "x.tflite")


def test_resizing_that_depends_on_the_whole_image_has_no_tiles(tmp_path):
    graph = trace(
        nn.Sequential([lambda x: ops.resize(x, scale=2, method="bilinear")]), {}, (1, 8, 8, 1)
    )
    export_tflite(graph, tmp_path / "m.tflite", ranges=None)
    assert from_tflite(tmp_path / "m.tflite").scale == 2

    def edit(subgraph):
        (resize,) = subgraph.operators
        resize.builtinOptions.alignCorners, resize.builtinOptions.halfPixelCenters = True, False

    with pytest.raises(InputError, match="RESIZE_BILINEAR with align_corners"):
        from_tflite(_edited(tmp_path / "m.tflite", tmp_path / "x.tflite", edit))
