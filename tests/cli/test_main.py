"""The verbs, through the real `main`: what they write, what they say, and how they refuse."""

import io
import json
import os
import pathlib
import signal
import subprocess
import sys

import av
import jax
import numpy as np
import onnx
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from sesr_jax import train
from sesr_jax.cli.main import VERBS, main
from sesr_jax.compare import make_zoo_page
from sesr_jax.data import imresize, open_embedded, read_image, write_image
from sesr_jax.errors import InputError
from sesr_jax.export.flatbuffer import read_enum
from sesr_jax.models import network
from sesr_jax.recipes import read_config
from sesr_jax.train.checkpoint import claim


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> pathlib.Path:
    """A small network with fresh weights."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    network.save(network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), expansion=4), path)
    return path


@pytest.fixture(scope="session")
def photo(tmp_path_factory) -> pathlib.Path:
    """A crop of a real photo."""
    path = tmp_path_factory.mktemp("photo") / "chelsea.png"
    write_image(path, open_embedded("eval")[1].hr[60:160, 100:240])
    return path


def _refused(capsys, *argv: object) -> str:
    """The one sentence with which the command refuses."""
    assert main([str(arg) for arg in argv]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


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


def test_unknown_verbs_are_refused(capsys):
    assert "'upscal'" in _refused(capsys, "upscal")


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


def test_models_are_counted_by_the_rules_of_aim_2020(capsys):
    assert main(["models", "rfdn_aim2020", "--counts"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split() == ["rfdn_aim2020", "×4", "433,448", "27.103", "G", "112.034", "M", "64"]
    assert "'rfdm'" in _refused(capsys, "models", "rfdm")


def test_inspect_describes_a_network(capsys):
    assert main(["inspect", "sesr_m5_x2"]) == 0
    out = capsys.readouterr().out
    assert "network: sesr_m5 ×2" in out
    assert "reach: 9 pixels" in out
    assert "parameters: 13,700" in out


def test_latency_of_a_model_and_its_csv(capsys, tmp_path):
    assert main(["latency", "sesr_m5_hw", "--csv", str(tmp_path / "l.csv")]) == 0
    out = capsys.readouterr().out
    assert "28.035 GMAC" in out
    assert "ethos-n78-4tops" in out
    assert "NOT SUPPORTED" not in out
    header, *lines = (tmp_path / "l.csv").read_text().splitlines()
    assert header.startswith("name,op,shape")
    assert len(lines) >= 8


def test_latency_of_a_trained_network_is_that_of_its_model(weights, tmp_path, capsys):
    main(
        ["latency", "sesr_m5", "--scale", "4", "--size", "64x48", "--csv", str(tmp_path / "a.csv")]
    )
    main(["latency", "sesr_m5_x4", "--size", "64x48", "--csv", str(tmp_path / "b.csv")])
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert main(["latency", str(weights), "--size", "64x48"]) == 0
    capsys.readouterr()
    assert "--scale 2: sesr_m5_x4 upscales ×4" in _refused(
        capsys, "latency", "sesr_m5_x4", "--scale", "2"
    )


def test_latency_names_what_the_target_lacks(capsys):
    assert main(["latency", "sesr_m5"]) == 0
    assert "NOT SUPPORTED: prelu_0/prelu" in capsys.readouterr().out


def test_latency_compares_models_and_targets_on_a_page(capsys, tmp_path):
    page = tmp_path / "latency.html"
    command = ["latency", "sesr_m3_hw", "fsrcnn", "--size", "160x90", "--html", str(page)]
    assert main([*command, "--target", "ethos-n78-4tops", "--target", "roofline"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("sesr_m3_hw", "fsrcnn")) for line in lines) == 4
    assert "what would help" in page.read_text("utf-8")
    assert "front on roofline" not in page.read_text("utf-8")  # one PSNR is published
    assert "--psnr" in _refused(capsys, *command, "--psnr", "37.2")
    assert main([*command, "--target", "roofline", "--psnr", "37.2,36.9"]) == 0
    assert "front on roofline" in page.read_text("utf-8")
    capsys.readouterr()
    assert "--csv" in _refused(capsys, *command, "--target", "roofline", "--csv", page)


def test_latency_refuses_what_it_would_pass_over(capsys):
    saved = ("latency", "sesr_m3_hw", "--size", "64x48", "--saving", "0.5", "--target", "vs680")
    assert "--saving 0.5: vs680 compresses no activations" in _refused(capsys, *saved)
    assert main([*saved, "--target", "ethos-n78-4tops"]) == 0
    capsys.readouterr()
    assert "--size: for networks" in _refused(capsys, "latency", "x.tflite", "--size", "64x48")
    assert "--scale: for networks" in _refused(capsys, "latency", "x.tflite", "--scale", "2")


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


def test_latency_cuts_a_frame_into_tiles(capsys):
    command = ["latency", "sesr_m3_hw", "--size", "320x180", "--tile"]
    assert main([*command, "100x60"]) == 0
    assert "tiles of 100×60, halo 7: 4×4 " in capsys.readouterr().out
    assert main([*command, "auto"]) == 0
    assert "without overlap" in capsys.readouterr().out


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


def test_import_writes_a_network_that_other_verbs_take(tmp_path, capsys):
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
    assert "missing" in _refused(capsys, *argv, "--model", "sesr_m5", "--out", out)
    assert ".safetensors" in _refused(
        capsys, *argv, "--model", "sesr_m3", "--out", tmp_path / "o.npz"
    )


def test_upscale_writes_an_image_of_the_right_size(weights, photo, tmp_path, capsys):
    out = tmp_path / "large.png"
    assert main(["upscale", str(photo), str(out), "--model", str(weights), "--tile", "64"]) == 0
    assert read_image(out).shape == (200, 280, 3)
    assert "140×100" in capsys.readouterr().out


def test_upscale_in_the_fastest_tiles_of_a_target_is_upscaling(weights, photo, tmp_path, capsys):
    command = ["upscale", str(photo), "--model", str(weights)]
    assert main([*command, str(tmp_path / "a.png")]) == 0
    capsys.readouterr()
    auto = ["--tile", "auto", "--target", "ethos-u65-512"]
    assert main([*command, str(tmp_path / "b.png"), *auto]) == 0
    assert "140×100 in tiles of" in capsys.readouterr().out
    assert main([*command, str(tmp_path / "c.png"), "--tile", "64x40"]) == 0
    a, *others = (read_image(tmp_path / f"{name}.png").astype(int) for name in "abc")
    assert all(np.abs(other - a).max() <= 1 for other in others)  # a code, where rounding differs
    bicubic = ["upscale", photo, tmp_path / "d.png", "--model", "bicubic_x2", *auto]
    assert "bicubic_x2" in _refused(capsys, *bicubic)


def test_upscale_of_a_folder_goes_past_what_is_damaged_and_on_another_time(photo, tmp_path, capsys):
    source, target = tmp_path / "from", tmp_path / "to"
    for name in ("a.png", "c.png"):
        write_image(source / name, read_image(photo))
    (source / "b.png").write_bytes(photo.read_bytes()[:500])
    command = ["upscale", str(source), str(target), "--model", "bicubic_x2"]
    assert main(command) == 2
    printed = capsys.readouterr()
    assert "2 upscaled, 0 were there already" in printed.out
    assert "b.png" in printed.err
    assert f"1 of 3 images were not upscaled: 1 failed, such as: {source / 'b.png'}" in printed.err
    before = (target / "a.png").stat().st_mtime_ns
    write_image(source / "b.png", read_image(photo))
    assert main(command) == 0
    assert "1 upscaled, 2 were there already" in capsys.readouterr().out
    assert (target / "a.png").stat().st_mtime_ns == before
    assert all(read_image(target / f"{name}.png").shape == (200, 280, 3) for name in "abc")


def test_names_that_the_terminal_cannot_show_and_images_that_are_left_out(tmp_path):
    folder = tmp_path / "from"
    write_image(folder / "bär.png", np.zeros((4, 4, 3), np.uint8))
    os.rename(folder / "bär.png", os.fsencode(folder) + b"/b\xe4r.png")
    (folder / "c.jxl").touch()
    script = "import sys; from sesr_jax.cli.main import main; sys.exit(main())"
    ran = subprocess.run(
        [sys.executable, "-c", script, "upscale", folder, tmp_path / "to", "--model", "bicubic_x2"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "1 upscaled" in ran.stdout
    assert ran.stderr.splitlines()[-1].endswith(
        "1 of 2 images were not upscaled: 1 of other formats (1 .jxl) were left out."
    )
    assert (os.fsencode(tmp_path) + b"/to/b\xe4r.png") in [
        os.fsencode(p) for p in (tmp_path / "to").iterdir()
    ]


def test_an_image_goes_through_pipes(weights, photo, tmp_path, capfdbinary, monkeypatch):
    def upscale(*argv, given=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        status = main(["upscale", "--model", "bicubic_x2", *argv])
        return status, *capfdbinary.readouterr()

    assert upscale(str(photo), str(tmp_path / "b.png"))[0] == 0
    status, out, said = upscale("-", "-", given=photo.read_bytes())
    assert (status, out) == (0, (tmp_path / "b.png").read_bytes())
    assert "140×100 → - 280×200" in said.decode()
    status, out, said = upscale("-", "-", given=b"no image")
    assert (status, out) == (2, b"")
    assert b"standard input can't be read" in said
    status, out, said = upscale(str(photo.parent), "-")
    assert (status, out) == (2, b"")
    assert b"is a folder, and standard output takes one image" in said
    model, large = str(weights), tmp_path / "c.png"
    assert upscale(str(photo), str(large), "--model", model, "--tile", "auto")[0] == 0
    status, out, said = upscale(str(photo), "-", "--model", model, "--tile", "auto")
    assert (status, out) == (0, large.read_bytes())
    assert "140×100 in tiles of" in said.decode()


def test_upscale_of_a_video(photo, tmp_path, capsys):
    frames, clip = read_image(photo)[:32, :48], tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 48, 32
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frames)))
        container.mux(stream.encode(None))
    command = ["upscale", str(clip), str(tmp_path / "large.mkv"), "--model", "bicubic_x2"]
    assert main(command) == 0
    assert "48×32 → " in (printed := capsys.readouterr().out)
    assert "large.mkv 96×64, 3 frames" in printed
    with av.open(str(tmp_path / "large.mkv")) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(96, 64)] * 3
    assert "--tile auto" in _refused(capsys, *command, "--tile", "auto")
    for name, said in (("x.avi", r"x.avi must end"), ("x.png", "clip.mp4 is a video")):
        command[2] = str(tmp_path / name)
        assert said in _refused(capsys, *command)
    assert "itself" in _refused(capsys, "upscale", clip, clip, "--model", "bicubic_x2")


def test_images_may_be_larger_than_pillow_likes(photo, tmp_path, monkeypatch):
    for command in (
        ["upscale", str(photo), str(tmp_path / "b.png")],
        ["eval", "--data", str(photo.parent)],
        ["score", "--challenge", "mobile_ai_2021", "--data", str(photo.parent), "--ms", "1"],
    ):
        monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)  # ours sets it, and it is put back
        assert main([*command, "--model", "bicubic_x3"]) == 0


def test_upscale_by_bicubic_is_matlabs(photo, tmp_path):
    out = tmp_path / "large.png"
    assert main(["upscale", str(photo), str(out), "--model", "bicubic_x3"]) == 0
    want = imresize(read_image(photo).astype(np.float64), 3).clip(0, 255)
    assert np.abs(read_image(out) - want).max() < 0.51


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


def test_export_of_bare_weights_says_how_a_run_trained_them(weights, tmp_path, monkeypatch, capsys):
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
    assert "--expanded" in _refused(capsys, *command, tmp_path / "m.onnx", "--expanded")
    assert ".tflite, .onnx, .safetensors" in _refused(capsys, *command, tmp_path / "m.npz")


def test_eval_in_rgb_takes_the_way_of_a_photo(weights, photo, capsys):
    command = ["eval", "--model", str(weights), "--data", str(photo.parent)]
    assert main([*command, "--protocol", "rgb"]) == 0
    assert "protocol rgb" in capsys.readouterr().out


def test_what_an_extra_brings_is_named_where_it_is_missing(
    weights, photo, tmp_path, capsys, monkeypatch
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
        ("latency", lite),
        (*command, "--out", tmp_path / "n.tflite"),
        (*command, "--out", tmp_path / "n.onnx"),
    ):
        assert "pip install 'sesr_jax[export]'" in _refused(capsys, *argv)


def test_eval_finds_all_sets_before_it_measures_the_first(photo, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sesr_jax.compare.sets.evaluate", None)  # which would be a TypeError
    command = ["eval", "--model", "bicubic_x2", "--data", photo.parent, "--data", tmp_path / "no"]
    assert "/no" in _refused(capsys, *command)
    command = [*command[:5], "--json", tmp_path]
    assert "it is a folder" in _refused(capsys, *command)


def test_bad_input_is_one_sentence(weights, photo, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(photo.read_bytes()[:500])
    out = tmp_path / "out.png"
    upscale = ("upscale", photo, out, "--model")
    assert "no-such.png" in _refused(capsys, "upscale", "no-such.png", out, "--model", weights)
    assert "broken.png" in _refused(capsys, "upscale", broken, out, "--model", weights)
    assert "must end in" in _refused(
        capsys, "upscale", photo, tmp_path / "x.gif", "--model", weights
    )
    assert "'sesr_m9'" in _refused(capsys, *upscale, "sesr_m9")
    assert "none.safetensors" in _refused(capsys, *upscale, "none.safetensors")
    assert str(tmp_path) in _refused(capsys, *upscale, tmp_path)
    assert "tile" in _refused(capsys, *upscale, weights, "--tile", "9")
    assert "--target vs680" in _refused(capsys, *upscale, weights, "--target", "vs680")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:-9])
    assert str(cut) in _refused(capsys, *upscale, cut)
    assert not out.exists()


def test_bad_arguments_of_other_verbs_are_one_sentence(weights, photo, tmp_path, capsys):
    assert "unknown model" in _refused(capsys, "latency", "sesr_m6")
    assert "×7" in _refused(capsys, "latency", "sesr_m5", "--scale", "7")
    assert "target" in _refused(capsys, "latency", "sesr_m5", "--target", "abacus").lower()
    assert "protocol" in _refused(
        capsys, "eval", "--model", weights, "--data", photo.parent, "--protocol", "z"
    )
    assert "empty" in _refused(capsys, "eval", "--model", weights, "--data", tmp_path / "empty")
    assert "nothing to count" in _refused(capsys, "reparam")
    assert "unknown form" in _refused(capsys, "reparam", "--form", "square")
    assert "--batch is 0" in _refused(capsys, "reparam", "sesr_m5", "--batch", "0")
    assert "options" in _refused(capsys, "reparam", "fsrcnn", "--form", "dense")
    assert "361×641" in _refused(
        capsys, "latency", "tinysrnet", "--scale", "3", "--size", "641x361"
    )
    onnx = ("export", "--model", weights, "--out", tmp_path / "m.onnx", "--io", "uint8")
    assert "--io, --cross-check: for .tflite" in _refused(capsys, *onnx, "--cross-check")
    twice = ("--qat", "sesr_m3_x2_qat") * 2
    assert "sesr_m3 ×2" in _refused(
        capsys,
        "compare",
        "--model",
        "sesr_m3_x2",
        *twice,
        "--data",
        photo.parent,
        "--out",
        tmp_path,
    )
    assert "no such config" in _refused(
        capsys, "train", "--config", "none.py", "--workdir", tmp_path
    )


def test_wrong_config_keys_and_values_are_one_sentence(tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text("from sesr_jax import train\ndef get_config():\n    return train.base()\n")
    command = ("train", "--config", config, "--workdir", tmp_path / "run")
    assert "optim.speed" in _refused(capsys, *command, "--config.optim.speed=1")
    assert "steps" in _refused(capsys, *command, "--config.steps=many")
    assert "config.steps=4 is no option" in _refused(capsys, *command, "config.steps=4")
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
