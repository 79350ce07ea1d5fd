import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.data import ImagePair, imresize, make_pool, sample
from sesr_jax.data.pool import _crop, _turn, scale_intensities
from sesr_jax.errors import InputError


def _picture(name: str, height: int, width: int, channels: int | None = 3) -> ImagePair:
    shape = (height, width) if channels is None else (height, width, channels)
    return ImagePair(
        name=name, hr=np.random.default_rng(height * width).integers(0, 256, shape, np.uint8)
    )


_SET = [_picture("a", 40, 52), _picture("b", 33, 37), _picture("c", 48, 36, None)]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_position_gives_the_crop_that_slicing_gives(scale):
    """All positions of all pictures, counted row by row, LR and HR aligned."""
    patch = 7
    pool = make_pool(_SET, scale=scale, patch=patch)
    want = []
    for picture in _SET:
        low = picture.get_low_resolution(scale)
        high = picture.hr
        if low.ndim == 2:
            low, high = (np.repeat(x[..., None], 3, -1) for x in (low, high))
        for y in range(low.shape[0] - patch + 1):
            for x in range(low.shape[1] - patch + 1):
                crop = high[scale * y :, scale * x :][: scale * patch, : scale * patch]
                want.append((low[y : y + patch, x : x + patch], crop))
    assert int(pool.positions[-1]) == len(want)
    lows, highs = jax.vmap(lambda rank: _crop(pool, rank))(jnp.arange(len(want)))
    np.testing.assert_array_equal(lows, [low for low, _ in want])
    np.testing.assert_array_equal(highs, [high for _, high in want])


def test_the_low_resolution_is_matlabs():
    picture = _picture("a", 40, 52)
    pool = make_pool([picture], scale=2, patch=20)
    np.testing.assert_array_equal(pool.lr.reshape(20, 26, 3), imresize(picture.hr, 0.5))


def test_the_eight_symmetries_are_distinct_and_keep_the_pixels():
    image = jnp.arange(16.0).reshape(4, 4, 1)
    turned = {tuple(np.asarray(_turn(image, jnp.asarray(k))).ravel()) for k in range(8)}
    assert len(turned) == 8
    assert all(sorted(t) == list(range(16)) for t in turned)


def test_low_and_high_are_turned_alike():
    flat = np.repeat(np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8), 2, 0), 2, 1)
    low = np.arange(64, dtype=np.uint8).reshape(8, 8)
    pool = make_pool([ImagePair(name="a", hr=flat, lr=low)], scale=2, patch=8)
    lr, hr = sample(pool, jax.random.key(0), 16)
    np.testing.assert_array_equal(hr[:, ::2, ::2], lr)
    assert len({np.asarray(x).tobytes() for x in lr}) > 4


def test_shares_of_a_batch_make_up_the_batch():
    pool = make_pool(_SET, scale=2, patch=8)
    key = jax.random.key(3)
    whole = sample(pool, key, 8)
    parts = [sample(pool, key, 8, share=(i, 4)) for i in range(4)]
    for want, *got in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(got), want)


def test_a_batch_is_scaled_pair_by_pair_and_alike_in_shares():
    levels, key = (1.0, 0.7, 0.5), jax.random.key(5)
    pairs = jnp.full((300, 2, 2, 3), 0.8), jnp.full((300, 4, 4, 3), 0.6)
    lr, hr = scale_intensities(pairs, key, 300, levels)
    factors = np.asarray(lr[:, 0, 0, 0] / 0.8)
    assert np.unique(factors.round(5), return_counts=True)[1] == pytest.approx([100] * 3, abs=41)
    for x, value in ((lr, 0.8), (hr, 0.6)):
        want = np.broadcast_to(value * factors[:, None, None, None], x.shape)
        np.testing.assert_allclose(x, want, rtol=1e-6)
    parts = [[x[150 * i :][:150] for x in pairs] for i in range(2)]
    shares = [
        scale_intensities(part, key, 300, levels, share=(i, 2))[0] for i, part in enumerate(parts)
    ]
    np.testing.assert_array_equal(np.concatenate(shares), lr)


def test_a_batch_that_is_not_scaled_is_the_same_arrays():
    crops = jnp.ones((2, 4, 4, 3)), jnp.ones((2, 8, 8, 3))
    kept = scale_intensities(crops, jax.random.key(0), 2, [1.0])
    assert all(a is b for a, b in zip(kept, crops, strict=True))


def test_values_are_codes_over_255_in_float():
    lr, hr = sample(make_pool(_SET, scale=2, patch=8), jax.random.key(0), 4)
    for x, side in ((lr, 8), (hr, 16)):
        assert x.shape == (4, side, side, 3)
        assert x.dtype == jnp.float32
        np.testing.assert_allclose(np.rint(x * 255), x * 255, atol=1e-4)
        assert 0 <= float(x.min()) <= float(x.max()) <= 1


def test_a_picture_smaller_than_the_crop_is_named_or_skipped(caplog):
    pictures = [*_SET, _picture("tiny", 12, 90)]
    with pytest.raises(InputError, match=r"tiny is 90×12.* 20 pixels"):
        make_pool(pictures, scale=2, patch=10)
    with caplog.at_level("INFO", logger="sesr_jax"):
        pool = make_pool(pictures, scale=2, patch=10, small="skip")
    assert len(pool.widths) == 3
    assert "left out 1" in caplog.text
    with pytest.raises(InputError, match=r"no image of 1 .* 20 pixels"):
        make_pool(pictures[-1:], scale=2, patch=10, small="skip")


@pytest.mark.parametrize("devices", [1, 2])
def test_parts_of_the_shards_make_up_the_batch_of_all(devices):
    """Two processes of so many devices, with half of the images each."""
    key, options = jax.random.key(1), {"scale": 2, "patch": 8, "shards": 2}
    pictures = [*_SET, _picture("d", 30, 41)]
    whole = sample(make_pool(pictures, **options), key, 8)
    pools = [make_pool(pictures, part=(i, 2), **options) for i in range(2)]
    assert [len(pool.widths) for pool in pools] == [2, 2]
    shares = 2 * devices
    parts = [sample(pools[i // devices], key, 8, share=(i, shares)) for i in range(shares)]
    for want, *got in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(got), want)


def test_every_shard_gives_its_part_of_a_batch():
    """Shades tell the pictures apart: the first and third are of one shard."""
    shades = [np.full((16, 16, 3), 60 * i, np.uint8) for i in range(4)]
    pictures = [ImagePair(name=str(i), hr=shade) for i, shade in enumerate(shades)]
    lr, _ = sample(make_pool(pictures, scale=2, patch=4, shards=2), jax.random.key(0), 32)
    seen = np.rint(lr[:, 0, 0, 0] * 255 / 60)
    assert set(seen[:16]) == {0, 2}
    assert set(seen[16:]) == {1, 3}


def test_a_shard_without_a_picture_is_refused():
    with pytest.raises(InputError, match=r" 16 pixels.* 4 shards"):
        make_pool(_SET, scale=2, patch=8, shards=4)
