"""Files and folders, upscaled from a notebook."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from sesr_jax.data import read_image, write_image
from sesr_jax.errors import InputError
from sesr_jax.upscale import (
    Outcome,
    bicubic_upscaler,
    is_network,
    upscale_file,
    upscale_folder,
)


def _write_photo(path, height=12, width=16):
    codes = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    write_image(path, codes)


def test_a_tile_may_be_chosen_for_the_size_of_each_image(tmp_path):
    _write_photo(tmp_path / "a.png", 20, 30)
    seen = []

    def choose(size):
        seen.append(size)
        return 16

    done = upscale_file(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / "b.png", tile=choose)
    assert seen == [(20, 30)]
    assert (done.input_size, done.output_size, done.frames) == ((20, 30), (40, 60), None)
    assert "30×20" in str(done)
    assert "60×40" in str(done)
    whole = upscale_file(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / "c.png", tile=None)
    assert whole.tiling_error is None
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), read_image(tmp_path / "c.png"))


def test_each_image_of_a_folder_has_an_outcome(tmp_path):
    for name in ("a", "c"):
        _write_photo(tmp_path / "from" / f"{name}.png")
    _write_photo(tmp_path / "to" / "a.png", 3, 5)
    (tmp_path / "from" / "b.png").write_bytes(b"no image")
    there, broken, upscaled = upscale_folder(
        bicubic_upscaler(3), tmp_path / "from", tmp_path / "to"
    )
    assert there == Outcome(source=tmp_path / "from" / "a.png")
    assert read_image(tmp_path / "to" / "a.png").shape == (3, 5, 3)
    assert "b.png" in broken.failure
    assert broken.upscaled is None
    assert upscaled.upscaled.output_size == (36, 48)


def test_whatever_one_image_raises_the_others_are_upscaled(tmp_path):
    def function(x):
        if x.shape[1] == 9:
            raise MemoryError
        if x.shape[1] == 7:
            raise RuntimeError("a kernel failed\nand more")
        return bicubic_upscaler(2).function(x)

    for name, height in (("a", 9), ("b", 7), ("c", 12)):
        _write_photo(tmp_path / "from" / f"{name}.png", height)
    upscaler = dataclasses.replace(bicubic_upscaler(2), function=function)
    a, b, c = upscale_folder(upscaler, tmp_path / "from", tmp_path / "to")
    assert "a.png" in a.failure
    assert "MemoryError" in a.failure
    assert "RuntimeError: a kernel failed." in b.failure
    assert c.upscaled.output_size == (24, 32)


def test_links_are_followed_once_and_other_images_are_named(tmp_path):
    _write_photo(tmp_path / "from" / "in" / "a.png")
    _write_photo(tmp_path / "elsewhere" / "b.JFIF")
    (tmp_path / "from" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "from" / "in" / "loop").symlink_to(tmp_path / "from")
    for name in ("c.jp2", "d.JXL", "e.mp4", "notes.txt", ".f.jxl"):
        (tmp_path / "from" / name).write_text("x")
    *done, c, d, e = upscale_folder(bicubic_upscaler(2), tmp_path / "from", tmp_path / "to")
    assert [one.upscaled.target.relative_to(tmp_path / "to").as_posix() for one in done] == [
        "in/a.png",
        "linked/b.JFIF",
    ]
    assert [(one.source.name, one.left_out) for one in (c, d, e)] == [
        ("c.jp2", True),
        ("d.JXL", True),
        ("e.mp4", True),
    ]


@pytest.mark.parametrize("how", [{"halo": 4}, {"tile": lambda size: size}])
def test_what_is_for_images_is_refused_of_a_video(how, tmp_path):
    with pytest.raises(InputError, match=r"b\.mp4"):
        upscale_file(bicubic_upscaler(2), tmp_path / "a.mp4", tmp_path / "b.mp4", **how)


def test_tiles_of_an_animation_are_measured_and_no_image_is_deinterlaced(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2, 24, 40, 3), np.uint8)
    first, second = map(Image.fromarray, noise)
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    paths = tmp_path / "a.png", tmp_path / "b.png"
    done = upscale_file(bicubic_upscaler(2), *paths, tile=16, halo=1)
    assert (done.frames, done.tiling_error.size) == (2, (24, 40))
    with pytest.raises(InputError, match=r"b\.png is an image"):
        upscale_file(bicubic_upscaler(2), *paths, deinterlace=True)


@pytest.mark.parametrize(
    ("spec", "network"),
    [
        ("bicubic_x12", False),
        ("m.tflite", False),
        ("m.onnx", False),
        ("bicubic_x", True),
        ("sesr_m5_x2", True),
        ("runs/m5", True),
    ],
)
def test_what_names_a_network(spec, network):
    assert is_network(spec) == network
