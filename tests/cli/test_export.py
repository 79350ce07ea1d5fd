"""``sesr export``, ``verify`` and ``inspect``, through the real `main`."""

import itertools
import json
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

from sesr_jax.cli.main import main
from sesr_jax.data import open_embedded, read_image, write_image
from sesr_jax.export import TFLiteModel, read_metadata
from sesr_jax.models import network

SIZE = ("--size", "48x40")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Small networks with fresh weights: with PReLU, and with ReLU alone."""
    folder, paths = tmp_path_factory.mktemp("weights"), {}
    for name in ("sesr_m3", "sesr_m3_hw"):
        paths[name] = folder / f"{name}.safetensors"
        made = network.init(name, scale=2, key=jax.random.key(0), expansion=4, blocks=1)
        network.save(made, paths[name])
    return paths


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of crops of a real photo."""
    folder = tmp_path_factory.mktemp("photos")
    for name, top in (("a", 60), ("b", 120)):
        write_image(folder / f"{name}.png", open_embedded("eval")[1].hr[top : top + 80, 100:196])
    return folder


def _export(weights, out, *argv):
    command = ["export", "--model", weights, "--out", out, *argv]
    return main([str(arg) for arg in command])


def test_a_file_for_the_app_ai_benchmark(weights, photos, tmp_path, refused):
    for_app = "--for", "ai-benchmark", "--calibrate", photos, *SIZE
    assert _export(weights["sesr_m3_hw"], tmp_path / "phone", *for_app) == 0
    model = TFLiteModel(tmp_path / "phone" / "model.tflite")
    assert (model.input.dtype, model.output.dtype) == (np.uint8, np.uint8)
    assert (model.input_shape, model.output_shape) == ((1, 40, 48, 1), (1, 80, 96, 1))
    command = "export", "--model", weights["sesr_m3_hw"], *for_app
    assert "model.tflite, not m3.tflite" in refused(*command, "--out", "m3.tflite")
    command = (*command, "--out", tmp_path / "none")
    assert "--tile" in refused(*command, "--tile", "24x24")
    assert "not of int8" in refused(*command, "--io", "int8")
    assert "not of int16" in refused(*command, "--precision", "int16")
    assert "sesr_m9" in refused(*command, "--model", "sesr_m9")
    assert not (tmp_path / "none").exists()


def test_a_checked_export_verified_inspected_and_run(weights, photos, tmp_path, capsys):
    out = tmp_path / "m3.tflite"
    given = ("--calibrate", photos, "--tail", "none", "--io", "uint8", "--cross-check")
    checks = ("--target", "ethos-n78-4tops", "--max-drop", "1", "--check-on", photos)
    assert _export(weights["sesr_m3_hw"], out, *SIZE, *given, *checks, "--tile", "32x24") == 0
    printed = capsys.readouterr().out
    assert "sesr_m3_hw ×2, INT8" in printed
    assert "collapsed and expanded network: " in printed
    assert "the file by litert: 0 apart" in printed
    assert printed.count("PSNR lost: ") == 2
    tile = tmp_path / "m3_32x24.tflite"
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"m3.tflite", "m3.golden.npz", tile.name, "m3_32x24.golden.npz"}
    assert read_metadata(tile)["host_blocks"] == [2]
    assert TFLiteModel(tile).output_shape == (1, 48, 64, 1)

    assert main(["verify", str(tile)]) == 0
    printed = capsys.readouterr().out
    assert "XNNPACK (golden)" in printed
    assert "reference" in printed
    assert main(["inspect", str(tile)]) == 0
    printed = capsys.readouterr().out
    assert "model: sesr_m3_hw" in printed
    assert "tail: none" in printed
    assert "ethos-n78-4tops: runs all of it" in printed

    large = tmp_path / "large.png"
    assert main(["upscale", str(photos / "a.png"), str(large), "--model", str(tile)]) == 0
    assert read_image(large).shape == (160, 192, 3)
    assert main(["eval", "--model", str(tile), "--data", str(photos)]) == 0


@pytest.mark.parametrize(
    ("flags", "facts"),
    [
        (("--precision", "int16"), ("int16", "transpose")),
        (("--precision", "weights", "--converter", "litert"), ("weights", "depth_to_space")),
        (("--exclude", "tail/*", "--calibrate", "embedded:eval"), ("int8", "depth_to_space")),
    ],
)
def test_other_precisions(flags, facts, weights, tmp_path, capsys):
    out = tmp_path / "m3.tflite"
    assert _export(weights["sesr_m3_hw"], out, *SIZE, *flags) == 0
    found = read_metadata(out)
    assert (found["precision"], found["tail"]) == facts
    assert main(["verify", str(out)]) == 0


def test_onnx_files_have_the_same_tails(weights, photos, tmp_path, refused):
    out = tmp_path / "m3.onnx"
    command = (weights["sesr_m3_hw"], out, "--calibrate", photos)
    assert _export(*command, "--tail", "none", *SIZE) == 0
    model = onnx.load(out)
    assert "DepthToSpace" not in {node.op_type for node in model.graph.node}
    found = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(found["host_blocks"]) == [2]
    assert json.loads(found["collapse"])["difference"] < 1e-5
    given = ("export", "--model", weights["sesr_m3_hw"], "--out", out)
    assert "DepthToSpace" in refused(*given, "--tail", "transpose")
    assert "not dynamic" in refused(*given, "--precision", "dynamic")
    assert "--target" in refused(*given, "--target", "vs680")
    given = (*given[:-1], out.with_suffix(".tflite"))
    assert "--max-ms 40" in refused(*given, "--max-ms", "40")


@pytest.mark.parametrize(
    ("flags", "told", "kind"),
    [
        (("--precision", "float16"), "float16", "tensor(float)"),
        (("--io", "uint8", "--calibrate", "embedded:eval"), "INT8", "tensor(uint8)"),
        (("--io", "int8", "--calibrate", "embedded:eval"), "INT8", "tensor(int8)"),
    ],
)
def test_onnx_files_of_other_types(flags, told, kind, weights, photos, tmp_path, capsys):
    out, large = tmp_path / "m3.onnx", tmp_path / "large.png"
    assert _export(weights["sesr_m3"], out, *SIZE, *flags) == 0
    printed = capsys.readouterr().out
    assert f"sesr_m3 ×2, {told}, " in printed
    assert "layers: all as the reference computes them" in printed
    (source,) = onnxruntime.InferenceSession(out).get_inputs()
    assert source.type == kind
    assert main(["verify", str(out)]) == 0
    assert "fused (golden)" in capsys.readouterr().out
    assert main(["inspect", str(out)]) == 0
    assert "model: sesr_m3\n" in capsys.readouterr().out
    assert main(["upscale", str(photos / "a.png"), str(large), "--model", str(out)]) == 0
    assert read_image(large).shape == (160, 192, 3)
    models = ["--model", str(weights["sesr_m3"]), "--model", str(out)]
    assert main(["eval", *models, "--data", str(photos), "--json", str(tmp_path / "s")]) == 0
    floats, file = (
        row["mean"]["psnr"] for row in json.loads((tmp_path / "s").read_text())["results"]
    )
    assert abs(floats - file) < (0.01 if told == "float16" else 1)


@pytest.mark.parametrize(
    ("name", "pair"), [("m3.tflite", "m3.golden.npz"), ("m3.onnx", "m3.onnx.golden.npz")]
)
def test_a_golden_output_that_does_not_come_out_is_one_sentence(
    name, pair, weights, photos, tmp_path, refused
):
    out, golden = tmp_path / name, tmp_path / pair
    command = (*SIZE, "--calibrate", photos, "--io", "int8")
    assert _export(weights["sesr_m3_hw"], out, *command) == 0
    with np.load(golden) as file:
        arrays = dict(file)
    np.savez(golden, **{**arrays, "output": arrays["output"] + np.int8(1)})
    assert "by up to 1 " in refused("verify", out)
    golden.unlink()
    assert pair in refused("verify", out)


def test_what_is_refused_is_one_sentence_and_nothing_is_written(weights, photos, tmp_path, refused):
    empty, tiny = tmp_path / "empty", tmp_path / "tiny"
    empty.mkdir()
    tiny.mkdir()
    write_image(tiny / "x.png", np.zeros((1, 9, 3), np.uint8))
    broken = tmp_path / "nan.safetensors"
    made = network.load(weights["sesr_m3"])
    variables = jax.tree.map(lambda p: jnp.full_like(p, jnp.nan), made.variables)
    network.save(network.Network(name="sesr_m3", scale=2, variables=variables,
                                 options=made.options), broken)  # fmt: skip
    out = tmp_path / "files" / "m3.tflite"

    def refuse(*argv, model="sesr_m3"):
        model = weights.get(model, model)
        return refused("export", "--model", model, "--out", out, *SIZE, *argv)

    given = ("--calibrate", photos)
    assert "prelu" in refuse(*given, "--target", "ethos-n78-4tops")
    assert "-9 dB" in refuse(*given, "--max-drop", "-9", "--check-on", photos)
    assert "empty" in refuse("--calibrate", empty)
    assert "1" in refuse("--calibrate", tiny)
    assert "not finite" in refuse(*given, model=broken)
    assert "matches no node" in refuse(*given, "--exclude", "head/conv3d")
    assert "nothing to exclude" in refuse("--precision", "float32", "--exclude", "head/*")
    assert "no float16" in refuse("--precision", "float16", "--converter", "litert")
    assert "observer" in refuse(*given, "--observer", "hope")
    assert "abacus" in refuse("--target", "abacus")
    assert "without --max-drop" in refuse("--check-on", photos)
    observed = refuse("--observer", "mse", model="sesr_m3_x2_qat")
    assert "nothing to observe" in observed
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_what_a_file_has_no_use_for_is_refused(weights, tmp_path, refused):
    """Rather than passed over in silence."""
    command = ("export", "--model", weights["sesr_m3"], "--out")
    idle = ("--precision", "float16", "--clip", "--size", "7x7", "--observer", "mse")
    printed = refused(*command, tmp_path / "m.safetensors", *idle)
    assert "--size, --precision, --clip, --observer: for .tflite and .onnx files alone" in printed
    printed = refused(*command, tmp_path / "m.onnx", "--max-drop", "0")
    assert "--max-drop: for .tflite" in printed
    idle = ("--precision", "float32", "--observer", "mse", "--io", "int8")
    printed = refused(*command, tmp_path / "m.tflite", *idle)
    assert "--observer, --io: a file of float32 has no use for it" in printed
    assert not list(tmp_path.iterdir())


def test_sigterm_leaves_no_half_written_file(weights, photos, tmp_path):
    """The process is ended while the file waits for its check."""
    code = (
        "import os, signal, sys\n"
        "from sesr_jax import upscale\n"
        "from sesr_jax.cli.main import main\n"
        "def check(network, path, *_):\n"
        "    assert path.exists()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "upscale.check_drop = check\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = ["export", "--model", weights["sesr_m3_hw"], "--out", tmp_path / "m.tflite", *SIZE]
    command += ["--precision", "float32", "--max-drop", "9", "--check-on", photos]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "sesr export: stopped" in done.stderr
    assert not list(tmp_path.iterdir())


def test_files_that_are_none(tmp_path, refused):
    (tmp_path / "x.tflite").write_bytes(b"no model at all")
    (tmp_path / "x.onnx").write_bytes(b"no model at all")
    for verb, name in itertools.product(("inspect", "verify"), ("tflite", "onnx")):
        assert f"x.{name}" in refused(verb, tmp_path / f"x.{name}")
        assert f"none.{name}" in refused(verb, tmp_path / f"none.{name}")
