"""The measuring on a lent accelerator is rehearsed on a CPU, and packed images train as their folder does."""

import json
import os
import shutil
import sys
import zipfile

import jax
import numpy as np
import pytest

from benchmarks import accelerator, carry
from benchmarks.accelerator_step import PRECISIONS
from sesr_jax import train
from sesr_jax.data import make_pool, open_folder, rgb_to_y, write_image
from sesr_jax.errors import InputError
from sesr_jax.models import network


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def images(tmp_path):
    """A folder of colour and grey images of even and odd sides, whose order is not that of their stems."""
    folder = tmp_path / "images"
    write_image(folder / "a.png", _noise(32, 34, 3))
    write_image(folder / "a-b.png", _noise(33, 37, seed=1))
    write_image(folder / "a.jpg", _noise(40, 33, 3, seed=2))
    write_image(folder / "b" / "c.png", _noise(48, 32, 3, seed=3))
    return folder


def _pool(folder):
    return make_pool(open_folder(folder), scale=2, patch=8)


def _unpack(pack, folder):
    carry.unpack(pack, folder)
    return folder


def _assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_pack_trains_as_the_folder_does(images, tmp_path):
    """The pools are equal, low resolutions included, and with them every batch."""
    assert carry.pack(open_folder(images), tmp_path / "pack.zip", colours=True) == 4
    _assert_equal(_pool(_unpack(tmp_path / "pack.zip", tmp_path / "there")), _pool(images))


def test_a_pack_of_luma_trains_as_a_folder_of_luma_does(images, tmp_path):
    for number, image in enumerate(open_folder(images)):
        write_image(tmp_path / "luma" / f"{number}.png", carry.to_luma(image.hr))
    carry.pack(open_folder(images), tmp_path / "pack.zip", colours=False)
    packed = _pool(_unpack(tmp_path / "pack.zip", tmp_path / "there"))
    _assert_equal(packed, _pool(tmp_path / "luma"))
    # Full-range codes are rounded, and studio range has 219 steps where they have 255.
    ys = [np.asarray(rgb_to_y(pool.hr / 255.0)) * 255 for pool in (packed, _pool(images))]
    assert np.abs(ys[0] - ys[1]).max() <= 0.5 * 219 / 255 + 1e-3


def test_a_limit_leaves_images_out_and_the_others_in_their_order(images, tmp_path):
    pack, whole = tmp_path / "pack.zip", tmp_path / "whole.zip"
    carry.pack(open_folder(images), whole, colours=False)
    with zipfile.ZipFile(whole) as archive:
        every = [archive.read(name) for name in archive.namelist()]
    assert carry.pack(open_folder(images), pack, colours=False, limit=sum(map(len, every)) - 1) == 3
    with zipfile.ZipFile(pack) as archive:
        kept = [every.index(archive.read(name)) for name in archive.namelist()]
    assert kept == sorted(kept)
    with pytest.raises(InputError, match="4 images fits into 9 bytes"):
        carry.pack(open_folder(images), pack, colours=False, limit=9)


@pytest.mark.parametrize("name", ["../000000.webp", "000000.png"])
def test_what_is_no_pack_is_refused(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        carry.unpack(tmp_path / "pack.zip", tmp_path / "there")
    (tmp_path / "pack.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"pack\.zip"):
        carry.unpack(tmp_path / "pack.zip", tmp_path / "there")


def test_wheels_become_a_folder_of_packages(tmp_path):
    with zipfile.ZipFile(tmp_path / "some-1-py3-none-any.whl", "w") as archive:
        archive.writestr("some/__init__.py", "")
    assert carry.unpack_wheels(tmp_path.glob("*.whl"), tmp_path / "site") == 1
    assert (tmp_path / "site" / "some" / "__init__.py").is_file()


@pytest.fixture
def here(monkeypatch):
    """The command changes its process, which is here that of the tests."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("JAX_PLATFORMS", os.environ.get("JAX_PLATFORMS", "cpu"))
    monkeypatch.setitem(accelerator._ENVIRONMENT, "JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


def test_the_rehearsal_checks_measures_and_trains(tmp_path, here, capsys):
    waves = np.uint8(127.5 + 127.5 * np.sin(np.arange(80)[:, None] * np.arange(96) / 200))
    write_image(tmp_path / "images" / "waves.png", waves)
    folder, out = tmp_path / "carry", tmp_path / "out"
    images = str(tmp_path / "images")
    assert carry.main([str(folder), "--train", images, "--held-out", images]) == 0
    status = accelerator.main([str(out), "--small", "--minutes", "60", "--carry", str(folder)])
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert (status, report["failed"]) == (0, []), (out / "log.txt").read_text("utf-8")
    assert 0 <= report["check"]["difference"] <= report["check"]["tolerance"]
    assert report["step"]["limits"].keys() == {"bytes_per_second", *PRECISIONS}
    assert len(report["step"]["steps"]) == 3
    assert report["step"]["profile"]
    assert report["trained"]["sesr_m3"]["step"] == 4
    assert report["trained"]["sesr_m3"]["scores"]["psnr"] > 10  # hardly trained
    assert "of the roofline" in capsys.readouterr().out
    files = sorted(file.name for file in out.iterdir())
    assert files == sorted(
        ["log.txt", "profile.tar.gz", "report.json", "sesr_m3.safetensors", "sesr_m3_run.zip"]
    )
    shutil.unpack_archive(out / "sesr_m3_run.zip", tmp_path / "run")
    resumed, kept = (
        train.load_network(tmp_path / "run"),
        network.load(out / "sesr_m3.safetensors"),
    )
    _assert_equal(resumed.variables["params"], kept.variables["params"])


def test_a_part_that_fails_is_reported(tmp_path, here, capsys):
    assert accelerator.main([str(tmp_path), "--only", "measure", "--minutes", "0"]) == 1
    (failure,) = json.loads((tmp_path / "report.json").read_text("utf-8"))["failed"]
    assert failure.startswith("measure: ")
    assert failure in capsys.readouterr().out
