"""Crops that are read from files are those of the pool, whoever reads them and from where on."""

import jax
import numpy as np
import pytest
from skimage import data

from sesr_jax.data import make_pool, open_folder, sample, write_image
from sesr_jax.data.pool import _crop, draw
from sesr_jax.data.stream import Stream, make_stream, pool_bytes
from sesr_jax.errors import InputError


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos")
    write_image(path / "a.png", data.astronaut()[:61, :90])
    write_image(path / "b.png", data.coffee()[:80, :54])
    write_image(path / "c.png", data.camera()[100:150, 200:257])
    return path


def _stream(photos, scale=2, **options) -> Stream:
    return make_stream(open_folder(photos), scale=scale, patch=8, **options)


@pytest.mark.parametrize("scale", [2, 3])
def test_every_position_gives_the_pools_crop(photos, scale):
    pool = make_pool(open_folder(photos), scale=scale, patch=8)
    stream = _stream(photos, scale)
    np.testing.assert_array_equal(stream.positions, pool.positions)
    np.testing.assert_array_equal(stream.edges, pool.edges)
    total = int(stream.positions[-1])
    ranks = np.unique([*range(0, total, 37), *stream.positions - 1, *stream.positions[:-1]])
    lows, highs = jax.vmap(lambda rank: _crop(pool, rank))(ranks)
    for i, rank in enumerate(ranks):
        lr, hr = stream.read_crop(rank)
        np.testing.assert_array_equal(lr, lows[i])
        np.testing.assert_array_equal(hr, highs[i])


def test_low_resolutions_that_ship_are_taken(photos, tmp_path):
    write_image(tmp_path / "lr" / "a.png", np.full((30, 45, 3), 7, np.uint8))
    write_image(tmp_path / "hr" / "a.png", data.astronaut()[:61, :90])
    stream = make_stream(open_folder(tmp_path / "hr", tmp_path / "lr", 2), scale=2, patch=8)
    assert (stream.read_crop(100)[0] == 7).all()


@pytest.mark.parametrize("shards", [1, 2])
def test_batches_are_those_of_the_pool_from_any_step_and_in_any_process(photos, shards):
    pytest.importorskip("grain")
    key = jax.random.fold_in(jax.random.key(np.uint32(5)), 6)
    pool = make_pool(open_folder(photos), scale=2, patch=8, shards=shards)
    ranks, turns = draw(key, 4, pool.edges, shards)
    lows, highs = jax.vmap(lambda rank: _crop(pool, rank))(ranks)
    for index in range(2):
        mine = (index, 2) if shards > 1 else (0, 1)
        stream = _stream(photos, shards=shards, part=mine)
        parts = [range(4, 6), range(6, 8)]
        calls = stream.calls(seed=5, batch=4, parts=parts, share=(index, 2))
        _, second = calls
        assert second.lr.shape == (1, 2, 2, 8, 8, 3)
        assert second.first.tolist() == [6]
        here = slice(2 * index, 2 * index + 2)
        np.testing.assert_array_equal(second.lr[0, 0], lows[here])
        np.testing.assert_array_equal(second.hr[0, 0], highs[here])
        np.testing.assert_array_equal(second.turns[0, 0], turns[here])


def test_a_sample_is_the_pools(photos):
    """It is what ranges are measured on when a network begins to be quantised."""
    options = {"scale": 2, "patch": 8, "shards": 2}
    pool, key = make_pool(open_folder(photos), **options), jax.random.key(3)
    stream = make_stream(open_folder(photos), **options)
    for want, got in zip(sample(pool, key, 8), stream.sample(key, 8), strict=True):
        np.testing.assert_array_equal(got, want)
    part = make_stream(open_folder(photos), part=(1, 2), **options)
    want, _ = stream.sample(key, 8, share=(1, 2))
    np.testing.assert_array_equal(part.sample(key, 8, share=(1, 2))[0], want)


def test_high_resolutions_alone_are_those_of_the_pairs(photos):
    """From a pool and from files, at the same positions and with the same symmetries."""
    key, options = jax.random.key(3), {"scale": 2, "patch": 8}
    pairs = make_pool(open_folder(photos), **options)
    pool = make_pool(open_folder(photos), **options, with_lr=False)
    stream = make_stream(open_folder(photos), **options, with_lr=False)
    _, want = sample(pairs, key, 6)
    for lr, hr in (sample(pool, key, 6), stream.sample(key, 6)):
        assert lr is None
        np.testing.assert_array_equal(hr, want)
    assert pool_bytes(open_folder(photos), 2, 1, (0, 1), with_lr=False) == pool.hr.nbytes


def test_more_positions_than_an_int32_holds_are_drawn_evenly(photos):
    stream = _stream(photos)
    huge = Stream(
        **{**vars(stream), "positions": np.array([3 * 2**40]), "edges": np.array([0, 3 * 2**40])}
    )
    ranks, turns = huge.draw(jax.random.key(0), 3000)
    assert 0 <= ranks.min() < ranks.max() < 3 * 2**40
    assert np.bincount(ranks // 2**40) == pytest.approx(
        [1000] * 3, abs=130
    )  # 5 standard deviations
    assert set(turns) == set(range(8))


def test_the_bytes_are_those_of_the_pool(photos):
    pool = make_pool(open_folder(photos), scale=3, patch=8)
    assert pool_bytes(open_folder(photos), 3, 1, (0, 1)) == pool.lr.nbytes + pool.hr.nbytes
    parts = [pool_bytes(open_folder(photos), 3, 2, (i, 2)) for i in range(2)]
    assert sum(parts) == pool.lr.nbytes + pool.hr.nbytes


def test_a_picture_smaller_than_the_crop_is_named_or_skipped(photos, caplog):
    with pytest.raises(InputError, match=r"c is 57×50.* 52 pixels"):
        make_stream(open_folder(photos), scale=2, patch=26)
    with caplog.at_level("INFO", logger="sesr_jax"):
        assert len(make_stream(open_folder(photos), scale=2, patch=26, small="skip").indices) == 2
    assert "left out 1" in caplog.text


def test_without_grain_the_extra_is_named(photos, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "grain", None)
    with pytest.raises(InputError, match=r"sesr_jax\[grain\]"):
        next(_stream(photos).calls(seed=0, batch=2, parts=[range(2)]))
