"""Folder layouts, pairing, laziness, and the embedded photos."""

import importlib.util

import numpy as np
import pytest

from sesr_jax.data import sources, write_image
from sesr_jax.data.resize import make_low_resolution
from sesr_jax.data.sources import ImagePair, open_embedded, open_folder, open_source
from sesr_jax.errors import InputError


def picture(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def put(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, image)
    return image


@pytest.fixture
def benchmark(tmp_path):
    """A set in the benchmarks' layout, with LR of ×2 whose values are not the bicubic ones."""
    for seed, name in enumerate("ba"):
        put(tmp_path / "HR" / f"{name}.png", picture(9, 8, 3, seed=seed))
        put(tmp_path / "LR_bicubic" / "X2" / f"{name}x2.png", picture(4, 4, 3, seed=seed + 9))
    return tmp_path


def test_a_benchmark_is_read_in_pairs_by_name(benchmark):
    pictures = open_folder(benchmark, scale=2)
    assert [p.name for p in pictures] == ["a", "b"]
    np.testing.assert_array_equal(pictures[0].hr, picture(9, 8, 3, seed=1))
    np.testing.assert_array_equal(pictures[0].lr, picture(4, 4, 3, seed=10))
    np.testing.assert_array_equal(pictures[0].get_low_resolution(2), pictures[0].lr)


@pytest.mark.parametrize("scale", [None, 3])
def test_without_low_resolutions_of_the_scale_they_are_made(benchmark, scale):
    first = open_folder(benchmark, scale=scale)[0]
    assert first.lr is None
    np.testing.assert_array_equal(first.get_low_resolution(3), make_low_resolution(first.hr, 3))


def test_low_resolutions_of_another_scale_are_refused(benchmark):
    with pytest.raises(InputError, match=r"^a .*1/4"):
        open_folder(benchmark, scale=2)[0].get_low_resolution(4)


def test_an_hr_image_without_its_partner_is_refused(benchmark):
    put(benchmark / "HR" / "c.png", picture(8, 8))
    with pytest.raises(InputError, match=r"c\.png .*LR_bicubic/X2"):
        open_folder(benchmark, scale=2)


def test_a_low_resolution_of_two_images_is_refused(benchmark):
    put(benchmark / "HR" / "more" / "a.png", picture(9, 8, 3))
    with pytest.raises(InputError, match="2 images named a:"):
        open_folder(benchmark, scale=2)


@pytest.mark.parametrize("suffix", ["", "x2"])
def test_an_explicit_folder_of_low_resolutions(tmp_path, suffix):
    put(tmp_path / "train_HR" / "0801.png", picture(8, 8, 3))
    low = put(tmp_path / "train_LR" / f"0801{suffix}.png", picture(4, 4, 3))
    pictures = open_folder(tmp_path / "train_HR", lr=tmp_path / "train_LR", scale=2)
    np.testing.assert_array_equal(pictures[0].lr, low)
    with pytest.raises(InputError, match="/train_LR need a scale"):
        open_folder(tmp_path / "train_HR", lr=tmp_path / "train_LR")


def test_any_other_folder_is_read_with_those_inside_but_not_its_low_resolutions(tmp_path):
    put(tmp_path / "two" / "a.png", picture(6, 6))
    put(tmp_path / "one" / "a.png", picture(6, 6, 3))
    put(tmp_path / "one" / "LR_bicubic" / "X2" / "ax2.png", picture(3, 3, 3))
    pictures = open_folder(tmp_path)
    assert [p.name for p in pictures] == ["one/a", "two/a"]
    assert pictures[0].hr.shape == (6, 6, 3)
    assert pictures[1].hr.shape == (6, 6)


def test_empty_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="/none "):
        open_folder(tmp_path / "none")
    with pytest.raises(InputError, match=rf"{tmp_path} .*\.png"):
        open_folder(tmp_path)
    put(tmp_path / "LR_bicubic" / "X2" / "a.png", picture(3, 3))
    with pytest.raises(InputError, match=rf"{tmp_path} holds low resolutions alone"):
        open_folder(tmp_path)


def test_pictures_are_read_when_asked_for_and_no_sooner(benchmark, monkeypatch):
    read = []
    monkeypatch.setattr(sources, "read_image", lambda path: read.append(path.name) or picture(4, 4))
    pictures = open_folder(benchmark)
    assert len(pictures) == 2
    assert len(pictures[1:]) == 1
    assert not read
    next(iter(pictures))
    assert read == ["a.png"]
    for _ in range(2):
        assert [p.name for p in pictures] == ["a", "b"]
    assert pictures[-1].name == pictures[1:][0].name == "b"
    with pytest.raises(IndexError):
        pictures[2]


def test_embedded_photos():
    train, held_out = open_embedded("train"), open_embedded("eval")
    names = [p.name for p in [*train, *held_out]]
    assert len(set(names)) == len(names) == len(train) + len(held_out)
    for p in [*train, *held_out]:
        assert p.hr.dtype == np.uint8
        assert min(p.hr.shape[:2]) >= 300
        assert p.hr.std() > 10


def test_embedded_without_scikit_image(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"sesr_jax\[demo\]"):
        open_embedded("train")


def test_source_by_name(benchmark):
    assert open_source("embedded:eval") == open_embedded("eval")
    assert open_source("embedded:train", scale=2) == open_embedded("train")
    assert open_source(str(benchmark), scale=2) == open_folder(benchmark, scale=2)
    with pytest.raises(InputError, match=r"'test'.* train, eval"):
        open_source("embedded:test")
    with pytest.raises(InputError, match="/none "):
        open_source(str(benchmark / "none"))


def test_every_shared_set_can_be_read(shared):
    assert len(open_folder(shared / "data" / "train")) == 208 + 181 + 100 + 100 + 91 + 25
    for name, count in {"Set5": 5, "Set14": 14, "B100": 100}.items():
        assert len(open_source(str(shared / "data" / "eval" / name), scale=2)) == count
    assert len(open_folder(shared / "data" / "eval")) == 119


def test_a_picture_too_small_for_the_scale():
    with pytest.raises(InputError, match=r"\(3, 3\).* 4 "):
        ImagePair(name="dot", hr=picture(3, 3)).get_low_resolution(4)


def test_names_keep_the_suffix_where_two_files_differ_in_nothing_else(tmp_path):
    put(tmp_path / "a.png", picture(6, 6))
    put(tmp_path / "a.bmp", picture(6, 6))
    put(tmp_path / "b.png", picture(6, 6))
    assert [p.name for p in open_folder(tmp_path)] == ["a.bmp", "a.png", "b"]
