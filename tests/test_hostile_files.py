"""The commands on small files that were found to crash, hang or deceive: each is refused in one sentence."""

import gzip
import pathlib
import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from sesr_jax.cli.main import main
from sesr_jax.recipes import read_config
from sesr_jax.train.stages import plan
from sesr_jax.train.validation import validate

_UPSCALE = ["upscale", "photo.png", "out.png", "--model", "{}"]
_INSPECT = ["inspect", "{}"]
_LATENCY = ["latency", "{}", "--target", "ethos-u85-512"]
_TRAIN = ["train", "--config", "{}", "--workdir", "run"]
_IMPORT = [
    "import",
    "--from",
    "ecbsr",
    "{}",
    "--model",
    "ecbsr_m4c8",
    "--scale",
    "2",
    "--out",
    "w.safetensors",
]
_IMAGE = ["upscale", "{}", "out.png", "--model", "bicubic_x2"]

# File, its commands, and what the sentence holds.
_CASES = [
    ("eval_120.tflite", (_INSPECT, _LATENCY, _UPSCALE), "operator 11, MINIMUM, name -1"),
    ("upscale_521.tflite", (_INSPECT, _LATENCY, _UPSCALE), "operator 8, ADD, lacks its input 1"),
    ("verify_393.tflite", (_INSPECT, _LATENCY, _UPSCALE), "operator 8 writes tensor 0"),
    ("tfl_bomb_8kB.tflite", (_INSPECT, _LATENCY, _UPSCALE), "lie over each other"),
    ("tfl_output_minus1.tflite", (_INSPECT, _LATENCY, _UPSCALE), "outputs name -1"),
    ("tfl_reversed_ops.tflite", (_INSPECT, _LATENCY, _UPSCALE), "tensor 26, is written by nothing"),
    ("tfl_zerodivision.tflite", (_INSPECT, _LATENCY, _UPSCALE), "2147483647, 3, 8, 3"),
    ("onnx_nan.onnx", (_UPSCALE,), "onnx_nan"),
    ("onnx_batch100.onnx", (_UPSCALE,), "onnx_batch100"),
    ("onnx_recursion.onnx", (_UPSCALE,), "onnx_recursion"),
    ("st_other_model.safetensors", (_UPSCALE, _INSPECT), "st_other_model"),
    ("st_recursion_options.safetensors", (_UPSCALE, _INSPECT), "st_recursion_options"),
    ("st_structure_list.safetensors", (_UPSCALE, _INSPECT), "st_structure_list"),
    ("lie12k.jpg", (_IMAGE,), "596 bytes, too few for the 12000×12000"),
    ("lie60k.png", (_IMAGE,), "1315 bytes, too few for the 60000×60000"),
    ("cfg_no_optim.py", (_TRAIN,), "optim"),
    ("cfg_systemexit.py", (_TRAIN,), "cfg_systemexit"),
    ("toml_deep.toml", (["latency", "sesr_m3_x2", "--target", "./{}"],), "toml_deep"),
    ("npz_size_lie.npz", (_IMPORT,), "npz_size_lie"),
    ("torch_intkey.pt", (_IMPORT,), "torch_intkey"),
    ("torch_meta.pt", (_IMPORT,), "torch_meta"),
    ("golden_recursion.npz", (["verify", "esc.tflite", "--golden", "{}"],), "golden_recursion"),
]


@pytest.fixture
def place(shared, tmp_path, monkeypatch) -> pathlib.Path:
    """An empty folder with a photo in it, in which the commands run."""
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _unpack(shared: pathlib.Path, name: str, place: pathlib.Path) -> None:
    folder = shared / "data" / "cases" / "hostile"
    if (folder / name).exists():
        shutil.copyfile(folder / name, place / name)
    else:
        (place / name).write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))


@pytest.mark.parametrize(("name", "commands", "said"), _CASES, ids=[case[0] for case in _CASES])
def test_it_is_refused_in_one_sentence(shared, place, capsys, name, commands, said):
    for needed in (name, "esc.tflite"):
        _unpack(shared, needed, place)
    before = set(place.iterdir())
    for command in commands:
        start = time.process_time()
        assert main([part.format(name) for part in command]) == 2
        assert time.process_time() - start < 20
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert said in message
    assert set(place.iterdir()) == before


def test_a_stage_may_be_a_mapping(shared, place):
    _unpack(shared, "cfg_stage_dict.py", place)
    config = read_config("cfg_stage_dict.py")
    validate(config)
    assert [stage.config.steps for stage in plan(config)] == [config.steps]


def test_escapes_in_metadata_are_shown_and_not_sent(shared, place, capsys):
    _unpack(shared, "esc.tflite", place)
    for command in (_INSPECT, _LATENCY):
        main([part.format("esc.tflite") for part in command])
        shown = capsys.readouterr()
        assert "\x1b" not in shown.out + shown.err
        assert "\\x1b" in shown.out + shown.err or command is _LATENCY


def test_a_full_disk_keeps_the_file_that_was_there(shared, place, capsys):
    """The photo as JPEG takes 141,957 bytes and more; a tmpfs has whole pages."""
    _unpack(shared, "fulldisk_source.png", place)
    (place / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=139264", "tmpfs", "disk"]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("root alone can mount a small disk")
    try:
        pathlib.Path("disk/large.jpg").write_bytes(b"old")
        assert (
            main(["upscale", "fulldisk_source.png", "disk/large.jpg", "--model", "bicubic_x2"]) == 2
        )
        assert "disk/large.jpg" in capsys.readouterr().err
        assert [(p.name, p.read_bytes()) for p in pathlib.Path("disk").iterdir()] == [
            ("large.jpg", b"old")
        ]
    finally:
        subprocess.run(["umount", "disk"], check=True)
