"""tpu-mlir: what it is told and what it writes; and a real compilation, where it is installed.

The last tests need an environment of tpu-mlir (`sesr compile --make-toolchain FOLDER`), named by the variable
SESR_TPU_MLIR.
"""

import dataclasses
import itertools
import math
import os
import pathlib
import shlex
import time

import numpy as np
import pytest

from sesr_jax.cli.main import main
from sesr_jax.data import ImagePair, read_image
from sesr_jax.errors import InputError
from sesr_jax.export.onnx import to_onnx
from sesr_jax.graph import Graph, Node
from sesr_jax.npu import layers_from_graph
from sesr_jax.npu.compilers.tpu_mlir import (
    VARIABLE,
    Toolchain,
    compile_job,
    find_toolchain,
    make_job,
    merge_shuffles,
)
from sesr_jax.npu.compilers.tpu_mlir.check import crop_centres
from sesr_jax.npu.compilers.tpu_mlir.commands import list_commands, make_script
from sesr_jax.npu.compilers.tpu_mlir.job import crop_alike, make_pixels
from sesr_jax.npu.compilers.tpu_mlir.shuffles import to_pixel_shuffles
from sesr_jax.npu.compilers.tpu_mlir.table import Entry, format_table, read_table
from sesr_jax.npu.compilers.tpu_mlir.timeline import read_timeline
from sesr_jax.pretrained import find_network
from sesr_jax.targets import Target, find_target

INT8, F16, F32 = (find_target(f"bm1684x-{kind}") for kind in ("int8", "f16", "f32"))
rng = np.random.default_rng(0)


def _with_compiler(**options: str | None) -> Target:
    changed = {**INT8.compiler, **options}
    kept = {name: value for name, value in changed.items() if value is not None}
    return dataclasses.replace(INT8, compiler=kept)


def _photo(name: str, side: int) -> ImagePair:
    smooth = np.kron(rng.integers(0, 256, (side // 8, side // 8, 3)), np.ones((8, 8, 1)))
    return ImagePair(name=name, hr=smooth.astype(np.uint8))


@pytest.fixture(scope="module")
def network():
    return find_network("sesr_m3_x2")


def test_pixels_of_calibration_images_reach_the_network_from_0_to_1():
    for channels, pixel_format in ((1, "gray"), (3, "rgb")):
        for command in list_commands("m5.onnx", INT8, size=(8, 8), channels=channels):
            if command[0] == "model_transform.py":
                told = dict(itertools.pairwise(command))
                assert told["--pixel_format"] == pixel_format
                assert told["--mean"] == ",".join("0" * channels)
                assert [float(part) for part in told["--scale"].split(",")] == pytest.approx(
                    [1 / 255] * channels
                )


def test_a_float_onnx_is_compiled_with_ranges_of_tpu_mlir_s_or_with_a_table():
    transform, calibrate, deploy = list_commands("runs/m5.onnx", INT8, size=(300, 400))
    assert "[[1,1,300,400]]" in transform
    assert calibrate[calibrate.index("-o") + 1] in deploy
    assert {"INT8", "bm1684x", "m5.bmodel", "--quant_input", "--quant_output"} <= set(deploy)
    assert "--asymmetric" not in deploy
    _, deploy = list_commands("m5.onnx", INT8, size=(8, 8), table="mine", asymmetric=True)
    assert {"mine", "--asymmetric"} <= set(deploy)
    programs = [
        command[0]
        for command in list_commands("m5.onnx", INT8, size=(8, 8), calibration_size=(4, 4))
    ]
    assert programs.count("model_transform.py") == 2
    for target, word in ((F16, "F16"), (F32, "F32")):
        commands = list_commands("m5.onnx", target, size=(8, 8), channels=3)
        assert len(commands) == 2
        assert word in commands[1]
        lines = make_script(commands).splitlines()
        assert [tuple(shlex.split(line)) for line in lines[1:]] == list(commands)


@pytest.mark.parametrize(
    ("path", "target", "options", "said"),
    [
        ("m5.tflite", INT8, {}, r"\.onnx"),
        ("m5.onnx", find_target("ethos-u85-2048"), {}, "does not compile for"),
        ("m5.onnx", F16, {"asymmetric": True}, "float16"),
        ("m5.onnx", F16, {"channels": 4}, "4 channels"),
        ("m5.onnx", _with_compiler(quantize="INT4"), {}, "INT4"),
        ("m5.onnx", _with_compiler(processor=None), {}, "no processor"),
        ("m5.onnx", _with_compiler(quantize=None), {}, "no quantize"),
    ],
)
def test_what_cannot_be_compiled_is_refused(path, target, options, said):
    with pytest.raises(InputError, match=said):
        list_commands(path, target, size=(8, 8), **options)


def _shuffling(block: str) -> Graph:
    """Returns a network of RGB whose pixels are shuffled: once, twice, or after a sum with the image."""
    blocks = {"3": (3,), "2·2": (2, 2), "2·2, luma": (2, 2)}[block]
    colours = 1 if "luma" in block else 3
    features = colours * math.prod(blocks) ** 2
    kernel = rng.normal(0, 0.3, (3, 3, colours, features)).astype(np.float32)
    same = {"strides": (1, 1), "padding": "SAME", "groups": 1, "dilation": (1, 1)}
    bias, slope = (rng.normal(0, 0.3, features).astype(np.float32) for _ in range(2))
    shape = (1, 5, 6, features)
    nodes = [
        Node(name="conv", op="conv2d", args=("x", kernel, bias), attrs=same, shape=shape),
        Node(name="prelu", op="prelu", args=("conv", slope), attrs={}, shape=shape),
    ]
    last = "prelu"
    if colours == 1:
        nodes.append(Node(name="sum", op="add", args=("prelu", "x"), attrs={}, shape=shape))
        last = "sum"
    for i, side in enumerate(blocks):
        _, h, w, c = nodes[-1].shape
        shape = (1, h * side, w * side, c // side**2)
        attrs = {"block": side, "form": "shuffle"}
        nodes.append(
            Node(name=f"d{i}", op="depth_to_space", args=(last,), attrs=attrs, shape=shape)
        )
        last = f"d{i}"
    return Graph(input="x", input_shape=(1, 5, 6, colours), nodes=tuple(nodes), output=last)


@pytest.mark.parametrize("block", ["3", "2·2", "2·2, luma"])
def test_one_shuffle_of_pixels_gives_the_same_image(block):
    import onnxruntime

    before = to_onnx(_shuffling(block))
    after = to_pixel_shuffles(before)
    (shuffle,) = (node for node in after.graph.node if node.op_type == "DepthToSpace")
    attributes = {attribute.name: attribute for attribute in shuffle.attribute}
    assert attributes["mode"].s == b"CRD"
    assert attributes["blocksize"].i == (3 if block == "3" else 4)
    x = rng.random((1, _shuffling(block).input_shape[-1], 5, 6), np.float32)
    outputs = [
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
        for model in (before, after)
    ]
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-6)
    assert merge_shuffles(layers_from_graph(_shuffling(block)))[-1].inputs == (
        "sum" if "luma" in block else "prelu",
    )


def test_a_table_is_read_as_it_was_written(tmp_path):
    entries = {"input": Entry(threshold=1.0, low=0.0, high=1.0)}
    entries["a/b c_Conv"] = Entry(threshold=2.5, low=-2.5, high=1.25)
    path = tmp_path / "ranges"
    path.write_text(format_table(entries), "utf-8")
    assert read_table(path) == entries
    path.write_text("input 1.0 nan 1.0\n", "utf-8")
    with pytest.raises(InputError, match="nan"):
        read_table(path)


def test_our_ranges_stand_in_the_table_under_tpu_mlir_s_names(network, tmp_path):
    job = make_job(
        network, INT8, size=(8, 8), calibration=[_photo("a", 48), _photo("b", 64)], source="ours"
    )
    job.write(tmp_path)
    entries = read_table(tmp_path / job.table)
    assert entries["input"] == Entry(threshold=1.0, low=0.0, high=1.0)
    low, high = job.ranges["head/conv2d"]
    found = entries["head/conv2d_Conv"]
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found.threshold == pytest.approx(max(-low, high), abs=1e-6)
    assert entries["depth_to_space_DepthToSpace"].high == 1.0
    # A range for each operator of the file.
    assert len(entries) == len(job.model.graph.node) + 1
    assert "run_calibration" not in (tmp_path / "compile.sh").read_text("utf-8")
    assert job.images == ()


def test_images_for_tpu_mlir_s_ranges_are_written_as_the_network_sees_them(network, tmp_path):
    photos = [_photo("a", 48), _photo("b", 64)]
    make_job(network, INT8, size=(8, 8), calibration=photos).write(tmp_path)
    first, second = (read_image(tmp_path / "calibration" / f"{i:03}.png") for i in range(2))
    assert np.array_equal(first, make_pixels(network, photos[0])[..., 0])
    assert np.array_equal(second, make_pixels(network, photos[1])[4:28, 4:28, 0])
    white = ImagePair(name="white", hr=np.full((16, 16, 3), 255, np.uint8))
    assert (make_pixels(network, white) == 235).all()  # luma of ITU-R BT.601
    assert "--input_num 2" in (tmp_path / "compile.sh").read_text("utf-8")


def test_calibration_images_are_centres_of_one_size(network):
    images = [np.arange(h * w).reshape(h, w, 1) for h, w in ((9, 13), (8, 20))]
    first, second = crop_alike(images, (8, 12), 3)
    assert first.shape == second.shape == (6, 12, 1)
    assert first[0, 0, 0] == 1 * 13 + 0
    assert second[0, 0, 0] == 1 * 20 + 4
    with pytest.raises(InputError, match="smaller than 16"):
        crop_alike(images, (64, 64), 16)
    with pytest.raises(InputError, match=r"28×28 pixels, fewer than the 32×24"):
        crop_centres(make_job(network, F16, size=(8, 8)), (24, 32), [_photo("a", 56)])
    with pytest.raises(InputError, match="--calibrate"):
        make_job(network, INT8, size=(8, 8))
    photo = ImagePair(name="b", hr=np.arange(14 * 18, dtype=np.uint8).reshape(14, 18))
    (crop,) = crop_centres(make_job(network, F16, size=(8, 8)), (4, 4), [photo])
    assert np.array_equal(crop.high[..., 0], photo.hr[2:10, 4:12])
    assert np.array_equal(crop.low[0] * 255, make_pixels(network, photo)[1:5, 2:6])
    with pytest.raises(InputError, match="without ranges"):
        make_job(network, INT8, size=(8, 8), source="ours")


_TIMELINE = """
ENGINE_BD                                        ENGINE_GDMA
                                                 Load_3|GDMA_TENSOR|s:0|b:0|g:1|e:9|t:10|dr:0|sz:320|bw:32.00
Conv2D_4|CONV|s:10|b:1|g:1|e:109|t:100           Load_5|GDMA_TENSOR|s:10|b:0|g:2|e:49|t:40|dr:0|sz:64|bw:1.6
PReluOp_6|AR|s:110|b:2|g:2|e:119|t:10
                                                 Store_7|GDMA_TENSOR|s:120|b:2|g:3|e:139|t:20|dr:1|sz:640|bw:32.00
TCYC : 140
"""
_LOCATIONS = """[
{"file-line": 3, "opcode": "tpu.Load", "operands": [{"name": "input"}], "results": [{"name": "load_0"}]},
{"file-line": 4, "opcode": "tpu.Conv2D", "operands": [{"name": "load_0"}, {}],
 "results": [{"name": "a_Conv"}]},
{"file-line": 5, "opcode": "tpu.Load", "operands": [], "results": [{"name": "load_slope"}]},
{"file-line": 6, "opcode": "tpu.PReluOp", "operands": [{"name": "a_Conv"}, {"name": "load_slope"}],
 "results": [{"name": "b_PRelu"}]},
{"file-line": 7, "opcode": "tpu.Store", "operands": [{"name": "b_PRelu"}], "results": [{"name": "b_PRelu"}]}
]"""


def test_a_timeline_is_read_operator_by_operator(tmp_path):
    (tmp_path / "timeline").write_text(_TIMELINE, "utf-8")
    (tmp_path / "locations").write_text(_LOCATIONS, "utf-8")
    found = read_timeline(tmp_path / "timeline", tmp_path / "locations", "bm1684x-int8")
    assert found.seconds == pytest.approx(140e-9)
    assert found.dram_bytes == 320 + 64 + 640
    conv, prelu = found.operators
    assert (conv.name, conv.op, conv.compute_cycles, conv.dram_cycles, conv.dram_bytes) == (
        *("a_Conv", "Conv2D", 100, 10, 320),
    )
    assert (prelu.name, prelu.op, prelu.compute_cycles, prelu.dram_bytes) == (
        *("b_PRelu", "PReluOp", 10, 704),
    )
    (tmp_path / "timeline").write_text("nothing", "utf-8")
    with pytest.raises(InputError, match="TCYC"):
        read_timeline(tmp_path / "timeline", tmp_path / "locations", "bm1684x-int8")


def test_without_a_toolchain_the_commands_are_written_and_one_sentence_says_so(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv(VARIABLE, raising=False)
    folder = tmp_path / "out"
    options = ["--target", "bm1684x-f16", "--size", "16x12", "--out", str(folder)]
    assert main(["compile", "--model", "sesr_m3_x2", *options]) == 2
    assert VARIABLE in (said := capsys.readouterr().err)
    assert said.count("\n") == 1
    script = (folder / "compile.sh").read_text("utf-8")
    assert "[[1,1,12,16]]" in script
    assert (folder / "sesr_m3_x2_float16.onnx").is_file()
    with pytest.raises(InputError, match=r"model_transform\.py"):
        find_toolchain(tmp_path)
    (tmp_path / "empty").mkdir()
    options = ["--target", "bm1684x-int8", "--calibrate", str(tmp_path / "empty"), "--out", "x"]
    assert main(["compile", "--model", "sesr_m3_x2", *options]) == 2
    assert "empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "idle", "said"),
    [
        ("f16", ["--ranges", "ours", "--method", "mse"], "--ranges, --method: bm1684x-f16"),
        ("int8", ["--ranges", "ours", "--method", "mse"], "--method mse"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(kind, idle, said, tmp_path, capsys):
    options = ["--target", f"bm1684x-{kind}", "--out", str(tmp_path / "out"), *idle]
    assert main(["compile", "--model", "sesr_m3_x2", *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_program_that_fails_is_quoted_and_what_it_started_ends(tmp_path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "model_deploy.py"
    lines = ["#!/bin/sh", "(sleep 0.3; touch left) &", "echo 'Op not support: Fancy'"]
    text = "\n".join([*lines, "echo 'RuntimeError: [!Error]: tpuc-opt x'", "exit 1", ""])
    program.write_text(text, "utf-8")
    program.chmod(0o755)
    with pytest.raises(InputError, match=r"model_deploy\.py fails: Op not support: Fancy"):
        Toolchain(path=tmp_path).run(["model_deploy.py"], tmp_path)
    time.sleep(0.5)
    assert not (tmp_path / "left").exists()


needs_toolchain = pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"{VARIABLE} names no environment of tpu-mlir"
)


@pytest.fixture(scope="module")
def photos() -> list[ImagePair]:
    return [_photo("a", 96), _photo("b", 112)]


@needs_toolchain
@pytest.mark.parametrize(
    ("kind", "options", "least"),
    [
        ("int8", {"source": "compiler"}, 35),
        ("int8", {"source": "compiler", "asymmetric": True}, 38),
        ("int8", {"source": "ours", "asymmetric": True}, 38),
        ("f16", {}, 60),
        ("f32", {}, 90),
    ],
)
def test_a_compiled_file_gives_the_image_on_the_simulator(
    kind, options, least, network, photos, tmp_path
):
    job = make_job(
        network,
        find_target(f"bm1684x-{kind}"),
        size=(24, 32),
        calibration=photos if kind == "int8" else None,
        **options,
    )
    result = compile_job(job, find_toolchain(), tmp_path / "out", check_on=photos[:1])
    (check,) = result.checks
    assert check.compiled_to_onnx > least
    assert (check.compiled_to_reference is not None) == (kind == "int8")
    if kind == "int8":
        assert check.compiled_to_reference > least - 2
        assert 0.5 < read_table(tmp_path / "out" / job.table)["input"].high <= 1
    layers = {one.name for one in result.compilation.operators}
    assert {"head/conv2d", "tail/conv2d", "depth_to_space"} <= layers
    assert result.compilation.seconds > 0
    assert result.compilation.dram_bytes > 24 * 32 * 5
    assert result.bmodel.stat().st_size > 1000
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "README.md",
        "upscale.py",
        "compile.sh",
        "compilation.json",
        result.bmodel.name,
    } <= found
    assert "on no board" in (tmp_path / "out" / "README.md").read_text("utf-8")


@needs_toolchain
def test_a_network_that_tpu_mlir_refuses_leaves_nothing_behind(network, photos, tmp_path):
    job = make_job(network, F16, size=(24, 32))
    model = job.model
    model.graph.node[1].op_type = "Fancy"
    with pytest.raises(InputError, match=r"model_transform\.py fails: .*Fancy"):
        compile_job(dataclasses.replace(job, model=model), find_toolchain(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert isinstance(find_toolchain().path, pathlib.Path)
