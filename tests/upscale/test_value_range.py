"""Files whose pixels go from 0 to 255 are found out, and run when that is said."""

import numpy as np
import onnx
import pytest

from sesr_jax.cli.main import main
from sesr_jax.data import read_image, write_image
from sesr_jax.errors import InputError
from sesr_jax.upscale import load_upscaler

_ROWS, _COLUMNS = np.mgrid[:24, :32]
_PHOTO = np.stack([_ROWS * 5 + 60, _COLUMNS * 4 + 50, 200 - _ROWS * 4], -1).astype(np.uint8)


def _write_onnx(path, low, high):
    """A file that enlarges by ×2 and clips to studio range, for white at `high`."""
    value, make = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    kind = onnx.TensorProto.FLOAT
    constants = {"scales": [1, 1, 2, 2], "low": low, "high": high}
    graph = onnx.helper.make_graph(
        [
            make("Resize", ["x", "", "scales"], ["large"], mode="linear"),
            make("Clip", ["large", "low", "high"], ["y"]),
        ],
        "network",
        [value("x", kind, [1, 3, "h", "w"])],
        [value("y", kind, [1, 3, "2h", "2w"])],
        [
            onnx.numpy_helper.from_array(np.array(numbers, np.float32), name)
            for name, numbers in constants.items()
        ],
    )
    onnx.save(
        onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
        ),
        path,
    )
    return str(path)


def test_the_range_is_asked_for_and_then_followed(tmp_path):
    files = {
        1: _write_onnx(tmp_path / "one.onnx", 16 / 255, 235 / 255),
        255: _write_onnx(tmp_path / "many.onnx", 16, 235),
    }
    for white, file in files.items():
        other = 256 - white
        with pytest.raises(InputError, match=f"--range {white}\\."):
            load_upscaler(file, white=other)
        ours, theirs = (load_upscaler(one, white=n) for n, one in files.items())
        image = _PHOTO[None].astype(np.float32) / 255
        np.testing.assert_allclose(ours.function(image), theirs.function(image), atol=1e-6)
    with pytest.raises(InputError, match=r"many\.onnx.*--range 255\."):
        load_upscaler(files[255])
    assert load_upscaler(files[1]).scale == 2


def test_a_file_that_makes_no_image_in_any_range_is_run_as_it_is(tmp_path):
    untrained = load_upscaler(_write_onnx(tmp_path / "a.onnx", 0, 0))
    assert not untrained.function(_PHOTO[None].astype(np.float32)).any()


@pytest.mark.parametrize("verb", ["upscale", "eval"])
def test_commands_take_the_range(tmp_path, capsys, verb):
    file = _write_onnx(tmp_path / "many.onnx", 16, 235)
    write_image(tmp_path / "a" / "photo.png", _PHOTO)
    argv = {
        "upscale": [str(tmp_path / "a" / "photo.png"), str(tmp_path / "b.png"), "--model", file],
        "eval": ["--model", "bicubic_x2", "--model", file, "--data", str(tmp_path / "a")],
    }[verb]
    assert main([verb, *argv]) != 0
    assert "--range 255" in capsys.readouterr().err
    assert main([verb, *argv, "--range", "255"]) == 0
    if verb == "upscale":
        large = read_image(tmp_path / "b.png")
        assert np.abs(large[::2, ::2].astype(int) - _PHOTO).max() <= 3
        assert main([verb, *argv[:2], "--model", "bicubic_x2", "--range", "255"]) != 0
        assert "--range 255" in capsys.readouterr().err
