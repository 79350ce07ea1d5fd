"""ONNX files, run by ONNX Runtime, against the network that they came from and its .tflite file."""

import itertools
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from export_samples import CASES, RNG, Export, lone, rms, simulate
from flax import linen as nn
from small_networks import small_networks, small_options

from sesr_jax import __version__, ops, quant
from sesr_jax.errors import InputError
from sesr_jax.export import Quantisation, TFLiteModel, export_onnx
from sesr_jax.export.onnx import CALLS, OPSET, read_onnx_metadata, to_onnx
from sesr_jax.export.onnx_proof import prove_onnx
from sesr_jax.graph import run, trace
from sesr_jax.models import VARIANTS, create
from sesr_jax.quant import Scheme, affine, calibrate, find_points

Exported = Callable[[str, int], Export]


def execute(model: Any, x: np.ndarray) -> np.ndarray:
    """The file's output for `x`, both ``[N, H, W, C]``; a float image becomes the file's pixels."""
    options = onnxruntime.SessionOptions()
    # Without it, sums of 8-bit products saturate at 16 bits on x86 CPUs of before 2019.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["WeightBiasQuantization"],
    )
    (source,) = session.get_inputs()
    if source.type == "tensor(float)":
        x = np.asarray(x, np.float32)
    elif x.dtype.kind == "f":
        x = PIXELS[source.type].quantise(np.asarray(x, np.float32))
    (y,) = session.run(None, {source.name: x.transpose(0, 3, 1, 2)})
    return y.transpose(0, 2, 3, 1)


PIXELS = {
    "tensor(uint8)": Quantisation(dtype=np.dtype(np.uint8), scale=1 / 255, zero_point=0),
    "tensor(int8)": Quantisation(dtype=np.dtype(np.int8), scale=1 / 255, zero_point=-128),
}
"""By ONNX Runtime's type of an image: what its codes stand for."""


def constant(model: Any, name: str) -> np.ndarray:
    (found,) = (value for value in model.graph.initializer if value.name == name)
    return onnx.numpy_helper.to_array(found)


def test_every_operation_has_a_call_and_a_case() -> None:
    assert ops.OPS.keys() == CALLS.keys()
    assert ops.OPS.keys() == {case.split()[0] for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_every_operation_exports_to_float_and_int8(case: str) -> None:
    graph = lone(case)
    x = RNG.uniform(size=graph.input_shape).astype(np.float32)
    y = np.asarray(run(graph, jnp.asarray(x)))
    model = to_onnx(graph)
    np.testing.assert_allclose(execute(model, x), y, atol=1e-5)
    larger = RNG.uniform(size=(2, 14, 24, 4)).astype(np.float32)
    expected = run(graph, jnp.asarray(larger))
    np.testing.assert_allclose(execute(model, larger), expected, atol=1e-5)
    half = to_onnx(graph, half=True)
    prove_onnx(half, graph, half=True)
    np.testing.assert_allclose(execute(half, x), y, atol=2**-8)

    ranges = calibrate(graph, [x])
    low, high = ranges[find_points(graph).group[graph.output]]
    actual, expected = execute(to_onnx(graph, ranges=ranges), x), simulate(graph, ranges, x)
    # A code of the output, where constants are rounded and the simulation's are not.
    np.testing.assert_allclose(actual, expected, atol=1.01 * affine(low, high)[0])
    assert actual.std() > 0.01
    unsigned = to_onnx(graph, ranges=ranges, io="uint8")
    prove_onnx(unsigned, graph, ranges=ranges)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2), (4, 4)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (9, 5)])
def test_transposed_convolutions_of_all_sizes(
    size: tuple[int, int], strides: tuple[int, int]
) -> None:
    kernel = jnp.asarray(RNG.normal(size=(*size, 2, 3)), jnp.float32)
    bias = jnp.asarray(RNG.normal(size=3), jnp.float32)
    network = nn.Sequential([lambda x: ops.conv2d_transpose(x, kernel, bias, strides=strides)])
    graph = trace(network, {}, (1, 5, 6, 2))
    x = RNG.uniform(size=(1, 7, 4, 2))
    np.testing.assert_allclose(execute(to_onnx(graph), x), run(graph, x), atol=1e-5)


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 0), (2, 1))])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_convolutions_of_all_paddings(padding: ops.Padding, strides: tuple[int, int]) -> None:
    kernel = jnp.asarray(RNG.normal(size=(4, 3, 2, 3)), jnp.float32)
    network = nn.Sequential([lambda x: ops.conv2d(x, kernel, strides=strides, padding=padding)])
    graph = trace(network, {}, (1, 8, 8, 2))
    for height, width in itertools.product((8, 9), (9, 10)):
        x = RNG.uniform(size=(1, height, width, 2))
        np.testing.assert_allclose(execute(to_onnx(graph), x), run(graph, x), atol=1e-5)


SMALLEST = ("sesr_m3_hw", "ecbsr_m4c8", "fsrcnn", "xlsr", "abpn", "mju_gogogo", "span", "efdn")
"""The networks whose layers of codes are proved too; `CASES` has every operation."""


@pytest.mark.parametrize(("name", "turn"), [*zip(dict(small_networks()), itertools.count())])
def test_the_zoo(name: str, turn: int, photo: np.ndarray) -> None:
    scales = VARIANTS[name].scales
    options = {"form": "dense"} if name.startswith("sesr") else small_options(name)
    network = create(name, scale=scales[turn % len(scales)], **options)
    image = np.repeat(photo, network.channels, axis=-1)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(image.shape))

    def drawn(p: jax.ShapeDtypeStruct) -> jax.Array:
        inputs = np.prod(p.shape[:-1]) if len(p.shape) > 1 else 100
        return jnp.asarray(RNG.normal(size=p.shape) / np.sqrt(inputs), p.dtype)

    graph = trace(network, jax.tree.map(drawn, shapes), image.shape)
    expected = np.asarray(run(graph, jnp.asarray(image)))
    actual = execute(to_onnx(graph), image)
    np.testing.assert_allclose(actual, expected, atol=1e-5 * float(np.abs(expected).max()))
    assert expected.std() > 0.01
    prove_onnx(to_onnx(graph, half=True), graph, half=True)
    if name in SMALLEST:
        ranges = calibrate(graph, [image])
        prove_onnx(to_onnx(graph, ranges=ranges, io="uint8"), graph, ranges=ranges)


NETWORKS = [("sesr_m3", 2), ("sesr_m3_hw", 3), ("fsrcnn", 3)]


@pytest.mark.parametrize(("name", "scale"), NETWORKS)
def test_an_int8_file_computes_what_the_ranges_say(
    exported: Exported, photo: np.ndarray, name: str, scale: int
) -> None:
    export = exported(name, scale)
    actual = execute(to_onnx(export.graph, ranges=export.ranges), photo)
    expected = simulate(export.graph, export.ranges, photo)
    float32 = np.clip(run(export.graph, jnp.asarray(photo)), 0, 1)
    assert rms(actual - float32) < 1.02 * rms(expected - float32)
    assert rms(actual - expected) < 0.1 * rms(expected - float32)


@pytest.mark.parametrize(("name", "scale"), NETWORKS)
def test_an_int8_file_computes_what_the_tflite_file_does(
    exported: Exported, photo: np.ndarray, name: str, scale: int
) -> None:
    export = exported(name, scale)
    ours = execute(to_onnx(export.graph, ranges=export.ranges), photo)
    theirs = TFLiteModel(export.int8)(photo)
    codes = np.rint((ours - theirs) * 255)
    # Integer convolutions agree to a code. PReLUs and transposed convolutions are float here, and
    # rounded twice there; what differs by a code is then multiplied by what follows.
    assert np.abs(codes).max() <= (1 if name == "sesr_m3_hw" else 4)
    assert rms(codes) < 1


@pytest.mark.parametrize(("name", "scale"), NETWORKS)
def test_codes_are_the_same_whatever_the_pixels(
    exported: Exported, photo: np.ndarray, name: str, scale: int
) -> None:
    export = exported(name, scale)
    codes = {
        io: execute(to_onnx(export.graph, ranges=export.ranges, io=io), photo)
        for io in (None, "int8", "uint8")
    }
    assert (codes["int8"].dtype, codes["uint8"].dtype) == (np.int8, np.uint8)
    np.testing.assert_array_equal(codes["int8"].astype(int) + 128, codes["uint8"])
    np.testing.assert_array_equal(np.rint(codes[None] * 255), codes["uint8"])


@pytest.mark.parametrize(("name", "scale"), NETWORKS)
def test_points_lie_where_quant_says_and_nowhere_else(
    exported: Exported, name: str, scale: int
) -> None:
    export = exported(name, scale)
    model = to_onnx(export.graph, ranges=export.ranges)
    group = find_points(export.graph).group
    written = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert {n.name.removesuffix("/quantise") for n in written} == group.keys()
    for node in written:
        wanted = affine(*export.ranges[group[node.name.removesuffix("/quantise")]])
        scale_, zero_point = (constant(model, key) for key in node.input[1:])
        assert (scale_, zero_point) == (np.float32(wanted[0]), wanted[1])
        assert (scale_.dtype, zero_point.dtype) == (np.float32, np.int8)


@pytest.mark.parametrize(("case", "count"), [("clip", 0), ("clip that stays", 1)])
def test_a_clip_that_a_range_performs_is_no_operator(case: str, count: int) -> None:
    graph = lone(case)
    ranges = calibrate(graph, [RNG.uniform(size=graph.input_shape)])
    for chosen, expected in ((None, 1), (ranges, count)):
        model = to_onnx(graph, ranges=chosen)
        assert [node.op_type for node in model.graph.node].count("Clip") == expected


def test_parameters_are_codes_of_their_channels(exported: Exported) -> None:
    export = exported("fsrcnn", 3)
    model = to_onnx(export.graph, ranges=export.ranges)
    layouts = {"conv2d": (3, 2, 0, 1), "conv2d_transpose": (2, 3, 0, 1)}
    for node in (n for n in export.graph.nodes if n.op in layouts):
        kernel, bias = map(np.asarray, node.parameters)
        axis = layouts[node.op].index(3)
        codes, scales = (constant(model, f"{node.name}/kernel/{k}") for k in ("codes", "scale"))
        largest = np.abs(kernel).max(axis=(0, 1, 2))
        np.testing.assert_allclose(scales, largest / 127, rtol=1e-6)
        assert codes.dtype == np.int8
        assert codes.shape == tuple(kernel.shape[i] for i in layouts[node.op])
        np.testing.assert_array_equal(np.abs(np.moveaxis(codes, axis, 0)).max((1, 2, 3)), 127)
        sums, _ = affine(*export.ranges[find_points(export.graph).group[node.inputs[0]]])
        codes, scales = (constant(model, f"{node.name}/bias/{k}") for k in ("codes", "scale"))
        assert codes.dtype == np.int32
        np.testing.assert_allclose(scales, largest / 127 * sums, rtol=1e-6)
        np.testing.assert_allclose(codes * scales, bias, atol=float(scales.max()) / 1.99)


def test_weights_alone_are_kernels() -> None:
    graph = lone("prelu")
    assert to_onnx(graph, scheme=Scheme(activations="float")).graph.node[0].op_type == "Add"
    graph = lone("conv2d")
    model = to_onnx(graph, scheme=Scheme(activations="float"))
    assert [node.op_type for node in model.graph.node] == ["DequantizeLinear", "Conv"]


@pytest.mark.parametrize("activations", ["int8", "float"])
@pytest.mark.parametrize("exclude", [(), ("block_1/*",)])
def test_schemes(
    exported: Exported, photo: np.ndarray, activations: str, exclude: tuple[str, ...]
) -> None:
    export = exported("sesr_m3_hw", 3)
    scheme = Scheme(activations=activations, exclude=exclude)  # type: ignore[arg-type]
    ranges = None if activations == "float" else export.ranges
    model = to_onnx(export.graph, ranges=ranges, scheme=scheme)
    stored = {value.name for value in model.graph.initializer}
    for node in export.graph.nodes:
        if node.op == "conv2d":
            assert (f"{node.name}/kernel/codes" in stored) != scheme.excludes(node.name)
    written = {n.name.removesuffix("/quantise") for n in model.graph.node if "/quantise" in n.name}
    assert written == find_points(export.graph, scheme).group.keys()
    x = jnp.asarray(photo)
    fake, exact = quant.fake.run(export.graph, ranges or {}, x, scheme), run(export.graph, x)
    # Kernels break ties differently, where there are any.
    ties = 0.1 if activations == "int8" else 1e-4
    assert rms(execute(model, photo) - fake) < ties * rms(fake - exact)


def test_a_channel_without_taps_keeps_its_bias() -> None:
    kernel = jnp.ones((1, 1, 4, 2)).at[..., 1].set(0) / 8
    bias = jnp.asarray([0.0, 0.25])
    graph = trace(nn.Sequential([lambda x: ops.conv2d(x, kernel, bias)]), {}, (1, 6, 6, 4))
    x = RNG.uniform(size=graph.input_shape).astype(np.float32)
    ranges = calibrate(graph, [x])
    y = execute(to_onnx(graph, ranges=ranges), x)
    np.testing.assert_allclose(y, run(graph, jnp.asarray(x)), atol=2 / 255)


def test_parameters_that_are_zero_stay_so() -> None:
    def network(x: jax.Array) -> jax.Array:
        return ops.add(ops.prelu(ops.add(x, jnp.zeros(4)), jnp.zeros(4)), 0.0)

    graph = trace(nn.Sequential([network]), {}, (1, 6, 6, 4))
    x = RNG.uniform(size=graph.input_shape).astype(np.float32)
    y = execute(to_onnx(graph, ranges=calibrate(graph, [x])), x)
    np.testing.assert_allclose(y, x, atol=1.5 / 255)


def test_a_file_says_what_it_is(exported: Exported, tmp_path: pathlib.Path) -> None:
    export = exported("sesr_m3", 2)
    path = tmp_path / "folder" / "sesr.onnx"
    told = {"model": "sesr_m3", "scale": 2, "channels": 1, "note": "Größe ×2"}
    export_onnx(export.graph, path, ranges=export.ranges, metadata=told)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    proof = json.loads(found.pop("onnx_runtime"))
    assert (proof["shape"], proof["codes"], proof["layer"]) == ([1, 24, 24, 1], True, 1)
    assert read_onnx_metadata(path)["onnx_runtime"] == proof
    ranges = json.loads(found.pop("ranges"))
    assert {key: tuple(value) for key, value in ranges.items()} == export.ranges
    assert found == {
        "model": "sesr_m3",
        "scale": "2",
        "channels": "1",
        "note": "Größe ×2",
        "version": __version__,
    }
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    assert (source.name, source.shape) == ("input", ["N", 1, "H", "W"])
    assert (target.name, target.shape) == (export.graph.output, ["N", 1, "H_out", "W_out"])
    (opset,) = onnx.load(path).opset_import
    assert (opset.domain, opset.version) == ("", OPSET)
    assert {p.name for p in path.parent.iterdir()} == {"sesr.onnx", "sesr.onnx.golden.npz"}


def test_nodes_keep_their_names(exported: Exported) -> None:
    export = exported("sesr_m3", 2)
    for ranges in (None, export.ranges):
        model = to_onnx(export.graph, ranges=ranges)
        made = {name for node in model.graph.node for name in node.output}
        assert {node.name for node in export.graph.nodes} <= made


def test_what_cannot_be_written_is_refused(
    exported: Exported, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = exported("sesr_m3", 2)
    wrong = trace(nn.Sequential([lambda x: ops.mul(x, float("nan"))]), {}, (1, 12, 16, 4))
    with pytest.raises(InputError, match="'mul' has parameters that are not finite"):
        to_onnx(wrong)
    without = {key: value for key, value in export.ranges.items() if key != "add_2"}
    with pytest.raises(InputError, match="'add_2' has no range"):
        to_onnx(export.graph, ranges=without)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"sesr\.onnx can't be written"):
        export_onnx(export.graph, tmp_path / "file" / "sesr.onnx")
    with pytest.raises(InputError, match="no int16 activations"):
        to_onnx(export.graph, ranges=export.ranges, scheme=Scheme(activations="int16"))
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "onnx", None)
        with pytest.raises(InputError, match=r"pip install 'sesr_jax\[export\]'"):
            to_onnx(export.graph)
    monkeypatch.delitem(CALLS, "mul")
    with pytest.raises(InputError, match="'mul' is a 'mul', which has no ONNX form"):
        to_onnx(lone("mul"))
