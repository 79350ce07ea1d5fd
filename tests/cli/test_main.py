"""The verbs, through the real `main`: what they write, what they say, and how they refuse."""

import json
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import onnx
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from sesr_jax import train
from sesr_jax.cli.main import VERBS, main
from sesr_jax.compare import make_zoo_page
from sesr_jax.errors import InputError
from sesr_jax.export.flatbuffer import read_enum
from sesr_jax.models import network
from sesr_jax.recipes import read_config
from sesr_jax.train.checkpoint import claim


def test_help_lists_the_verbs(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"example:\n  sesr {verb}" in capsys.readouterr().out


def test_unknown_verbs_are_refused(refused):
    assert "'upscal'" in refused("upscal")


def test_models_lists_the_zoo_and_plots_what_it_counts(capsys, tmp_path):
    page = tmp_path / "zoo.html"
    assert main(["models", "sesr_m5", "lapsrn", "--scale", "2", "--html", str(page)]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("sesr_m5 ")]
    assert line.split()[:6] == ["sesr_m5", "×2", "13,520", "13,700", "3.115", "G"]
    assert "32.84" in line
    # SRCNN is not in the zoo, and stands there as printed; VDSR is, and was not asked for.
    text = page.read_text("utf-8")
    assert [name in text for name in ("lapsrn", "SRCNN", "vdsr", "Set14 ×2")] == [
        True,
        True,
        False,
        True,
    ]
    (plot,) = [
        block
        for section in make_zoo_page({("lapsrn", 2): 119.6e9}).sections
        for block in section.blocks
        if block.caption.startswith("Set14")
    ]
    assert plot.points == {"lapsrn": (119.6, 33.08)}
    assert plot.others["SRCNN"] == (52.7, 32.42)


def test_models_are_counted_by_the_rules_of_aim_2020(capsys, refused):
    assert main(["models", "rfdn_aim2020", "--counts"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split() == ["rfdn_aim2020", "×4", "433,448", "27.103", "G", "112.034", "M", "64"]
    assert "'rfdm'" in refused("models", "rfdm")


def test_inspect_describes_a_network(capsys):
    assert main(["inspect", "sesr_m5_x2"]) == 0
    out = capsys.readouterr().out
    assert "network: sesr_m5 ×2" in out
    assert "reach: 9 pixels" in out
    assert "parameters: 13,700" in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("latency", "sesr_m5", "--saving", "1.0"), "argument --saving: '1.0' must lie in [0, 1)"),
        (("latency", "sesr_m5", "--saving", "nan"), "argument --saving: 'nan' is no finite number"),
        (("export", "--max-drop", "nan"), "argument --max-drop: 'nan' is no finite number"),
        (("export", "--max-drop", "much"), "argument --max-drop: 'much' is no finite number"),
    ],
)
def test_numbers_that_are_none(argv, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_reader_that_goes_ends_a_verb_in_silence():
    command = "import sys; from sesr_jax.cli.main import main; sys.exit(main(['recipes']))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", command], **pipes) as verb:
        verb.stdout.close()
        assert verb.stderr.read() == b""
        assert verb.wait() == 128 + signal.SIGPIPE


def test_reparam_of_a_model_and_of_a_form(capsys):
    assert main(["reparam", "sesr_m5", "--crop", "64"]) == 0
    out = capsys.readouterr().out
    expanded, _, _, published = (line.split() for line in out.splitlines()[3:7])
    assert expanded[1:4] == ["318,720", "320,692", "41.775"]
    assert published[-3:-1] == ["1.843", "G"]
    assert main(["reparam", "--form", "acnet", "--features", "4", "--crop", "8"]) == 0
    assert "acnet, 3×3, 4 channels: the forward pass of 32 × 8×8 pixels" in capsys.readouterr().out
    assert main(["reparam", "sesr_m3", "--form", "dense", "--scale", "4", "--crop", "8"]) == 0
    assert "sesr_m3 ×4 of dense" in capsys.readouterr().out


def test_import_writes_a_network_that_other_verbs_take(tmp_path, capsys, refused):
    rng = np.random.default_rng(0)
    f, p, arrays = 16, 4, {}
    for owner, k, n, m in [
        ("first5x5", 5, 1, f),
        *((f"lin_{i}", 3, f, f) for i in range(3)),
        ("last5x5", 5, f, 4),
    ]:
        shapes = {"conv2_d/w": (k, k, n, p), "conv2_d/b": (p,)}
        shapes |= {"conv2_d_1/w": (1, 1, p, m), "conv2_d_1/b": (m,)}
        if owner.startswith("lin"):
            shapes["prelu/alpha"] = (1,)
        for name, shape in shapes.items():
            arrays[f"sesr/{owner}/{name}"] = rng.normal(size=shape).astype(np.float32)
    save_file(arrays, tmp_path / "theirs.safetensors")
    argv = ["import", str(tmp_path / "theirs.safetensors"), "--from", "sesr-jax", "--scale", "2"]
    out = str(tmp_path / "ours.safetensors")
    assert main([*argv, "--model", "sesr_m3", "--out", out]) == 0
    assert "sesr_m3 ×2, expansion 4" in capsys.readouterr().out
    assert network.load(out).apply(np.zeros((1, 8, 8, 1))).shape == (1, 16, 16, 1)
    assert "missing" in refused(*argv, "--model", "sesr_m5", "--out", out)
    assert ".safetensors" in refused(*argv, "--model", "sesr_m3", "--out", tmp_path / "o.npz")


def test_export_eval_and_latency_of_the_same_file(weights, photo, tmp_path, capsys):
    exported, scores = tmp_path / "m.tflite", tmp_path / "s.json"
    calibration = str(photo.parent)
    command = ["export", "--model", str(weights), "--size", "48x40", "--out", str(exported)]
    assert main([*command, "--calibrate", calibration]) == 0
    assert "INT8" in capsys.readouterr().out
    models = ["--model", str(weights), "--model", str(exported), "--model", "bicubic_x2"]
    assert main(["eval", *models, "--data", calibration, "--json", str(scores)]) == 0
    results = json.loads(scores.read_text())["results"]
    psnr = {pathlib.Path(r["model"]).name: r["mean"]["psnr"] for r in results}
    assert abs(psnr["m.tflite"] - psnr["small.safetensors"]) < 1
    assert psnr["bicubic_x2"] > 25
    assert main(["latency", str(exported)]) == 0
    assert "conv2d" in capsys.readouterr().out


def test_export_to_onnx(weights, photo, tmp_path, capsys):
    out = tmp_path / "m.onnx"
    floats = ["--precision", "float32"]
    assert main(["export", "--model", str(weights), "--out", str(out), *floats]) == 0
    assert "float32" in capsys.readouterr().out
    plain = onnx.load(out)
    calibrate = ("--size", "48x40", "--calibrate", str(photo.parent))
    assert main(["export", "--model", str(weights), "--out", str(out), *calibrate]) == 0
    found = {prop.key: prop.value for prop in onnx.load(out).metadata_props}
    assert (found["model"], found["scale"]) == ("sesr_m3_hw", "2")
    assert json.loads(found["ranges"])["input"] == [0, 1]
    kinds = {node.op_type for node in plain.graph.node}
    assert not kinds & {"QuantizeLinear", "DequantizeLinear"}
    capsys.readouterr()
    models = ["--model", str(weights), "--model", str(out)]
    assert main(["eval", *models, "--data", str(photo.parent)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:]]
    assert [row[:4] for row in rows] == [
        [row[0], "×2", *rows[0][2:4]] for row in rows
    ]  # scale, MACs
    floats, codes = (float(row[-1].split("/")[0]) for row in rows)
    assert abs(floats - codes) < 1


def test_export_of_bare_weights_says_how_a_run_trained_them(
    weights, tmp_path, monkeypatch, capsys, refused
):
    config = train.base()
    config.optim.lr = 0.125
    claim(tmp_path / "run", config)
    monkeypatch.setattr("sesr_jax.pretrained.load_network", lambda run: network.load(weights))
    out, command = tmp_path / "m.safetensors", ["export", "--model", str(tmp_path / "run"), "--out"]
    for kind, flags in (("collapsed", []), ("expanded", ["--expanded"])):
        assert main([*command, str(out), *flags]) == 0
        assert kind in capsys.readouterr().out
        with safe_open(out, framework="numpy") as file:
            facts = file.metadata()
        assert json.loads(facts["training"])["optim"]["lr"] == 0.125
        assert ("graph" in facts) == (kind == "collapsed")
        expected = network.load(weights)
        expected = expected if flags else expected.collapse()
        found = network.load(out)
        jax.tree.map(np.testing.assert_array_equal, found.variables, expected.variables)
    assert "--expanded" in refused(*command, tmp_path / "m.onnx", "--expanded")
    assert ".tflite, .onnx, .safetensors" in refused(*command, tmp_path / "m.npz")


def test_eval_in_rgb_takes_the_way_of_a_photo(weights, photo, capsys):
    command = ["eval", "--model", str(weights), "--data", str(photo.parent)]
    assert main([*command, "--protocol", "rgb"]) == 0
    assert "protocol rgb" in capsys.readouterr().out


def test_what_an_extra_brings_is_named_where_it_is_missing(
    weights, photo, tmp_path, capsys, refused, monkeypatch
):
    command = ["export", "--model", weights, "--size", "40x40", "--calibrate", photo.parent]
    for name in ("m.tflite", "m.onnx"):
        assert main([str(arg) for arg in (*command, "--out", tmp_path / name)]) == 0
    capsys.readouterr()
    for name in list(sys.modules):
        if name.partition(".")[0] in ("ai_edge_litert", "tensorflow", "onnx", "onnxruntime"):
            monkeypatch.setitem(sys.modules, name, None)
    read_enum.cache_clear()
    lite, onnx_file = tmp_path / "m.tflite", tmp_path / "m.onnx"
    for argv in (
        ("upscale", photo, tmp_path / "o.png", "--model", lite),
        ("upscale", photo, tmp_path / "o.png", "--model", onnx_file),
        ("inspect", lite),
        ("verify", lite),
        ("verify", onnx_file),
        ("latency", lite),
        (*command, "--out", tmp_path / "n.tflite"),
        (*command, "--out", tmp_path / "n.onnx"),
    ):
        assert "pip install 'sesr_jax[export]'" in refused(*argv)


def test_eval_finds_all_sets_before_it_measures_the_first(photo, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("sesr_jax.compare.sets.evaluate", None)  # which would be a TypeError
    command = ["eval", "--model", "bicubic_x2", "--data", photo.parent, "--data", tmp_path / "no"]
    assert "/no" in refused(*command)
    command = [*command[:5], "--json", tmp_path]
    assert "it is a folder" in refused(*command)


def test_bad_input_is_one_sentence(weights, photo, tmp_path, refused):
    broken = tmp_path / "broken.png"
    broken.write_bytes(photo.read_bytes()[:500])
    out = tmp_path / "out.png"
    upscale = ("upscale", photo, out, "--model")
    assert "no-such.png" in refused("upscale", "no-such.png", out, "--model", weights)
    assert "broken.png" in refused("upscale", broken, out, "--model", weights)
    assert "must end in" in refused("upscale", photo, tmp_path / "x.gif", "--model", weights)
    assert "'sesr_m9'" in refused(*upscale, "sesr_m9")
    assert "none.safetensors" in refused(*upscale, "none.safetensors")
    assert str(tmp_path) in refused(*upscale, tmp_path)
    assert "tile" in refused(*upscale, weights, "--tile", "9")
    assert "--target vs680" in refused(*upscale, weights, "--target", "vs680")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:-9])
    assert str(cut) in refused(*upscale, cut)
    assert not out.exists()


def test_bad_arguments_of_other_verbs_are_one_sentence(weights, photo, tmp_path, refused):
    assert "unknown model" in refused("latency", "sesr_m6")
    assert "×7" in refused("latency", "sesr_m5", "--scale", "7")
    assert "target" in refused("latency", "sesr_m5", "--target", "abacus").lower()
    assert "protocol" in refused(
        "eval", "--model", weights, "--data", photo.parent, "--protocol", "z"
    )
    assert "empty" in refused("eval", "--model", weights, "--data", tmp_path / "empty")
    assert "nothing to count" in refused("reparam")
    assert "unknown form" in refused("reparam", "--form", "square")
    assert "--batch is 0" in refused("reparam", "sesr_m5", "--batch", "0")
    assert "options" in refused("reparam", "fsrcnn", "--form", "dense")
    assert "361×641" in refused("latency", "tinysrnet", "--scale", "3", "--size", "641x361")
    onnx = ("export", "--model", weights, "--out", tmp_path / "m.onnx", "--io", "uint8")
    assert "--cross-check: for .tflite" in refused(*onnx, "--cross-check")
    twice = ("--qat", "sesr_m3_x2_qat") * 2
    assert "sesr_m3 ×2" in refused(
        "compare",
        "--model",
        "sesr_m3_x2",
        *twice,
        "--data",
        photo.parent,
        "--out",
        tmp_path,
    )
    assert "no such config" in refused("train", "--config", "none.py", "--workdir", tmp_path)


def test_wrong_config_keys_and_values_are_one_sentence(tmp_path, refused):
    config = tmp_path / "config.py"
    config.write_text("from sesr_jax import train\ndef get_config():\n    return train.base()\n")
    command = ("train", "--config", config, "--workdir", tmp_path / "run")
    assert "optim.speed" in refused(*command, "--config.optim.speed=1")
    assert "steps" in refused(*command, "--config.steps=many")
    assert "config.steps=4 is no option" in refused(*command, "config.steps=4")
    assert not (tmp_path / "run").exists()


def test_config_values_are_set_by_the_arguments_that_are_given(tmp_path):
    config = tmp_path / "config.py"
    config.write_text("from sesr_jax import train\ndef get_config():\n    return train.base()\n")
    assert read_config(str(config), ["--config.optim.lr=0.25"]).optim.lr == 0.25
    options = ["--config.model.options.activation=relu", "--config.optim.options.b1=0.5"]
    found = read_config(str(config), options)
    assert found.model.options.to_dict() == {"activation": "relu"}
    assert found.optim.options.to_dict() == {"b1": 0.5}
    for wrong in ("model.options.depth=3", "optim.options.speed=3", "model.options.name=x"):
        with pytest.raises(InputError, match=rf"{wrong}: .* has no option"):
            read_config(str(config), [f"--config.{wrong}"])


@pytest.mark.parametrize("size", ["640", "0x9", "axb"])
def test_sizes_that_are_none(size, weights, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(
            ["export", "--model", str(weights), "--size", size, "--out", str(tmp_path / "m.tflite")]
        )
    assert stop.value.code == 2
    assert "640x360" in capsys.readouterr().err


def test_a_psnr_that_is_no_number(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["latency", "sesr_m5", "--psnr", "37.2,abc"])
    assert stop.value.code == 2
    assert "'37.2,abc' is no list of dB" in capsys.readouterr().err
