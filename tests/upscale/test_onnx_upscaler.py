"""An .onnx file as an upscaler: as the network in float, as the .tflite file in INT8."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.data import open_embedded
from sesr_jax.errors import InputError
from sesr_jax.export import Options, export_network, export_onnx, export_tflite
from sesr_jax.graph import count_cost, measure_extent, trace
from sesr_jax.models import create, network
from sesr_jax.upscale import (
    from_network,
    from_onnx,
    from_tflite,
    in_domain,
    load_upscaler,
    upscale_photo,
)

_SIZE = (40, 48)
_Y = np.random.default_rng(0).random((41, 57, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    made = network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), expansion=4).collapse()
    images = open_embedded("train")[:2]
    export_network(made, folder / "float.onnx", options=Options(precision="float32"), size=_SIZE)
    export_network(made, folder / "half.onnx", options=Options(precision="float16"), size=_SIZE)
    for name, io in (("int8", None), ("codes", "int8"), ("unsigned", "uint8")):
        options = Options(io=io)
        file = folder / f"{name}.onnx"
        export_network(made, file, size=_SIZE, calibration=images, options=options)
    export_network(made, folder / "int8.tflite", size=_SIZE, calibration=images)
    return folder, made


def test_a_float_file_is_the_network(files):
    folder, made = files
    found, expected = load_upscaler(folder / "float.onnx"), from_network(made)
    assert (found.name, found.tile) == ("float", None)
    for fact in ("scale", "channels", "extent", "macs"):
        assert getattr(found, fact) == getattr(expected, fact), fact
    ours, theirs = (in_domain(upscaler, "y")(_Y) for upscaler in (found, expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_an_int8_file_is_the_tflite_file(files):
    folder, _ = files
    onnx_file, tflite = from_onnx(folder / "int8.onnx"), from_tflite(folder / "int8.tflite")
    assert (onnx_file.extent, onnx_file.macs) == (tflite.extent, tflite.macs)
    ours, theirs = (in_domain(upscaler, "y")(_Y) for upscaler in (onnx_file, tflite))
    assert np.abs(np.rint((ours - theirs) * 255)).max() <= 1
    assert theirs.std() > 0.01


def test_a_file_of_float16_is_the_network_within_its_rounding(files):
    folder, made = files
    found, expected = from_onnx(folder / "half.onnx"), from_network(made)
    for fact in ("scale", "channels", "extent", "macs"):
        assert getattr(found, fact) == getattr(expected, fact), fact
    ours, theirs = (in_domain(upscaler, "y")(_Y) for upscaler in (found, expected))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize("name", ["codes", "unsigned"])
def test_pixels_of_codes_are_those_of_floats(files, name):
    folder, _ = files
    found, expected = from_onnx(folder / f"{name}.onnx"), from_onnx(folder / "int8.onnx")
    assert (found.extent, found.macs) == (expected.extent, expected.macs)
    ours, theirs = (in_domain(upscaler, "y")(_Y) for upscaler in (found, expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def _with_ends(model, dtype, ends):
    """Gives a float file images of another type, and the operators that `ends` makes at its ends."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    graph = made.graph
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    constants = [
        onnx.numpy_helper.from_array(np.float32(1 / 255), "one"),
        onnx.numpy_helper.from_array(np.float32(255), "white"),
        onnx.numpy_helper.from_array(np.asarray(0, np.uint8), "black"),
    ]
    graph.initializer.extend(constants)
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = {"input": "from", graph.output[0].name: "to"}.get(name, name)
    first, last = ends(kind, graph.output[0].name)
    graph.node.extend(last)
    for node in reversed(first):
        graph.node.insert(0, node)
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.elem_type = kind
    return made


def _cast(kind, output):
    make = onnx.helper.make_node
    return [make("Cast", ["input"], ["from"], to=1)], [make("Cast", ["to"], [output], to=kind)]


def _cast_pixels(kind, output):
    make = onnx.helper.make_node
    first = [make("Cast", ["input"], ["in"], to=1), make("Mul", ["in", "one"], ["from"])]
    last = [
        make("Mul", ["to", "white"], ["out"]),
        make("Relu", ["out"], ["positive"]),
        make("Min", ["positive", "white"], ["pixels"]),
        make("Cast", ["pixels"], [output], to=kind),
    ]
    return first, last


def _code(scale):
    def make(kind, output):
        node = onnx.helper.make_node
        first = [node("DequantizeLinear", ["input", scale, "black"], ["from"])]
        return first, [node("QuantizeLinear", ["to", scale, "black"], [output])]

    return make


@pytest.mark.parametrize(
    ("dtype", "ends", "atol"),
    [
        ("float16", _cast, 1e-3),
        ("uint8", _cast_pixels, 1.01 / 255),
        ("uint8", _code("one"), 1 / 255),
    ],
)
def test_files_of_others_with_other_types_are_run(files, tmp_path, dtype, ends, atol):
    folder, made = files
    model = _with_ends(onnx.load(folder / "float.onnx"), dtype, ends)
    onnx.save(model, tmp_path / "m.onnx")
    pixels = np.rint(_Y * 255).astype(np.float32) / 255
    function = in_domain(load_upscaler(tmp_path / "m.onnx"), "y")
    expected = np.clip(in_domain(from_network(made), "y")(pixels), 0, 1)
    np.testing.assert_allclose(np.clip(function(pixels), 0, 1), expected, atol=atol)


def test_codes_that_are_no_pixels_are_refused(files, tmp_path):
    folder, _ = files
    floats = onnx.load(folder / "float.onnx")
    onnx.save(_with_ends(floats, "int8", _cast), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="does not tell what its input of int8"):
        from_onnx(tmp_path / "m.onnx")
    onnx.save(_with_ends(floats, "int32", _cast), tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"tensor\(int32\)"):
        from_onnx(tmp_path / "m.onnx")
    model = _with_ends(floats, "uint8", _code("one"))
    (scale,) = (one for one in model.graph.initializer if one.name == "one")
    scale.CopyFrom(onnx.numpy_helper.from_array(np.float32(1 / 99), "one"))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"codes for an input from 0 to 2\.57"):
        from_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize(("name", "scale"), [("fsrcnn", 3), ("ecbsr_m4c8", 4)])
def test_reach_and_macs_of_other_networks(tmp_path, name, scale):
    module = create(name, scale=scale)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), shapes)
    graph = trace(module, zeros, (1, 12, 12, 1))
    export_onnx(graph, tmp_path / "m.onnx")
    found = from_onnx(tmp_path / "m.onnx")
    assert (found.scale, found.extent.halo) == (scale, measure_extent(graph).halo)
    assert found.macs == pytest.approx(count_cost(graph).macs / 12**2)


def test_pixels_that_a_file_leaves_to_the_host_are_moved(files, tmp_path):
    folder, made = files
    options = Options(precision="float32", tail="none")
    export_network(made, tmp_path / "none.onnx", options=options, size=_SIZE)
    found, expected = from_onnx(tmp_path / "none.onnx"), from_onnx(folder / "float.onnx")
    assert (found.scale, found.macs) == (expected.scale, expected.macs)
    ours, theirs = (in_domain(upscaler, "y")(_Y) for upscaler in (found, expected))
    np.testing.assert_array_equal(ours, theirs)


def test_a_file_of_one_size_is_run_in_tiles(files, tmp_path):
    folder, _ = files
    model = onnx.load(folder / "float.onnx")
    sizes = model.graph.input[0].type.tensor_type.shape.dim[2:]
    for dim, n in zip(sizes, _SIZE, strict=True):
        dim.dim_value = n
    onnx.save(model, tmp_path / "fixed.onnx")
    fixed, free = from_onnx(tmp_path / "fixed.onnx"), from_onnx(folder / "float.onnx")
    assert fixed.tile == _SIZE
    ours, theirs = (in_domain(upscaler, "y")(_Y) for upscaler in (fixed, free))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    photo = open_embedded("eval")[1].hr[:60, :70]
    assert upscale_photo(fixed, photo).shape == (120, 140, 3)


def test_files_that_are_no_upscalers_are_named(files, tmp_path):
    folder, _ = files
    with pytest.raises(InputError, match=r"none\.onnx"):
        from_onnx(tmp_path / "none.onnx")
    whole = (folder / "float.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.onnx"):
        from_onnx(tmp_path / "cut.onnx")
    for match, function, channels in (
        ("RGB", lambda x: ops.relu(x), 2),
        ("×1/2", lambda x: ops.space_to_depth(x, block=2), 1),
    ):
        graph = trace(nn.Sequential([function]), {}, (1, 8, 8, channels))
        export_onnx(graph, tmp_path / "m.onnx")
        with pytest.raises(InputError, match=match):
            from_onnx(tmp_path / "m.onnx")


def test_strides_reach_as_far_as_in_the_graph(tmp_path):
    """In the files too, where paddings are written in other ways."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 1, 16)).astype(np.float32) / 9

    def strided(x):
        return ops.depth_to_space(ops.conv2d(x, kernel, strides=(2, 2)), block=4)

    graph = trace(nn.Sequential([strided]), {}, (1, 12, 12, 1))
    export_onnx(graph, tmp_path / "m.onnx")
    export_tflite(graph, tmp_path / "m.tflite", ranges=None)
    for file in ("m.onnx", "m.tflite"):
        found = load_upscaler(tmp_path / file)
        assert (found.extent.halo, found.extent.align) == (measure_extent(graph).halo, 2), file


def _exported(path, function, channels=1):
    export_onnx(trace(nn.Sequential([function]), {}, (1, 8, 8, channels)), path)
    return onnx.load(path)


def test_resizing_that_depends_on_the_whole_image_has_no_tiles(tmp_path):
    path = tmp_path / "m.onnx"
    model = _exported(path, lambda x: ops.resize(x, scale=2, method="bilinear"))
    assert from_onnx(path).scale == 2
    (resize,) = (node for node in model.graph.node if node.op_type == "Resize")
    (way,) = (a for a in resize.attribute if a.name == "coordinate_transformation_mode")
    way.s = b"align_corners"
    onnx.save(model, path)
    with pytest.raises(InputError, match="Resize"):
        from_onnx(path)


def test_an_output_that_is_no_larger_image_is_refused_when_it_is_seen(files, tmp_path):
    """ONNX files of free size tell no sizes before."""
    _, made = files
    options = Options(precision="float32", tail="none")
    export_network(made, tmp_path / "m.onnx", options=options, size=_SIZE)
    model = onnx.load(tmp_path / "m.onnx")
    del model.metadata_props[:]  # of pixels that are left to the host
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"makes \[1, 4, 41, 57\] of \[1, 1, 41, 57\]"):
        in_domain(from_onnx(tmp_path / "m.onnx"), "y")(_Y)


def test_one_side_alone_and_outputs_of_nothing_are_refused(files, tmp_path):
    folder, _ = files
    model = onnx.load(folder / "float.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 40
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"40"):
        from_onnx(tmp_path / "m.onnx")
    model = onnx.load(folder / "float.onnx")
    value = onnx.numpy_helper.from_array(np.zeros((1, 1, 2, 2), np.float32), "constant")
    model.graph.initializer.append(value)
    model.graph.node.append(onnx.helper.make_node("Identity", ["constant"], ["nothing"]))
    model.graph.output[0].name = "nothing"
    for dim in model.graph.output[0].type.tensor_type.shape.dim:
        dim.Clear()
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match="nothing"):
        from_onnx(tmp_path / "m.onnx")
    model = onnx.load(folder / "float.onnx")
    for blocks in ("[2", '["x"]'):
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, {"host_blocks": blocks})
        onnx.save(model, tmp_path / "m.onnx")
        with pytest.raises(InputError, match=r"m\.onnx"):
            from_onnx(tmp_path / "m.onnx")


def test_files_for_several_images_and_operators_of_others_are_refused(files, tmp_path):
    folder, _ = files
    model = onnx.load(folder / "float.onnx")
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 100
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match="100 images"):
        from_onnx(tmp_path / "m.onnx")
    model = onnx.load(folder / "float.onnx")
    model.graph.node[0].domain = "com.example"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"com\.example|m\.onnx"):
        from_onnx(tmp_path / "m.onnx")
