"""A .tflite file as an upscaler: tiles of its own size give what the whole image would."""

import jax
import numpy as np
import pytest

from sesr_jax.data import embedded
from sesr_jax.errors import InputError
from sesr_jax.export import Options, TFLiteModel, export_network
from sesr_jax.graph import receptive_radius
from sesr_jax.models import network
from sesr_jax.upscale import from_tflite, in_domain, upscale_photo, upscale_tiled


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    made = network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), expansion=4).collapsed()
    for name, size in (("tile", (40, 48)), ("whole", (75, 90))):
        export_network(
            made, folder / f"{name}.tflite", size=size, calibration=embedded("train")[:2]
        )
    return folder, made


def test_facts_of_a_file(exported):
    folder, made = exported
    upscaler = from_tflite(folder / "tile.tflite")
    assert (upscaler.name, upscaler.scale, upscaler.channels) == ("tile", 2, 1)
    assert upscaler.tile == (40, 48)
    assert upscaler.halo == receptive_radius(made.graph((1, 40, 48, 1)))


def test_tiles_equal_a_file_of_the_whole_size_code_for_code(exported):
    folder, _ = exported
    image = np.random.default_rng(0).random((75, 90, 1)).astype(np.float32)
    upscaler = from_tflite(folder / "tile.tflite")
    tiled = upscale_tiled(upscaler.function, image, scale=2, tile=upscaler.tile, halo=upscaler.halo)
    np.testing.assert_array_equal(tiled, TFLiteModel(folder / "whole.tflite")(image[None])[0])


@pytest.mark.parametrize("tail", ["transpose", "transposed_conv", "none"])
def test_other_tails_give_the_same_photo(exported, tail):
    folder, made = exported
    path = folder / f"{tail}.tflite"
    images = embedded("train")[:2]
    export_network(made, path, size=(40, 48), calibration=images, options=Options(tail=tail))
    photo = embedded("eval")[1].hr[:75, :90]
    upscaler, plain = from_tflite(path), from_tflite(folder / "tile.tflite")
    assert (upscaler.scale, upscaler.tile) == (2, (40, 48))
    assert upscaler.halo >= plain.halo
    np.testing.assert_array_equal(upscale_photo(upscaler, photo), upscale_photo(plain, photo))
    # One that runs at no other size is measured in tiles of its own.
    y = np.random.default_rng(0).random((75, 90, 1)).astype(np.float32)
    np.testing.assert_array_equal(in_domain(upscaler, "y")(y), in_domain(plain, "y")(y))


def test_photos_smaller_than_the_file_s_size(exported):
    folder, _ = exported
    photo = embedded("eval")[0].hr[:30, :100]
    assert upscale_photo(from_tflite(folder / "tile.tflite"), photo).shape == (60, 200, 3)


def test_files_that_are_no_model(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"TFL3 but not quite")
    with pytest.raises(InputError, match=r"x\.tflite"):
        from_tflite(tmp_path / "x.tflite")
    with pytest.raises(InputError, match=r"none\.tflite"):
        from_tflite(tmp_path / "none.tflite")
