"""Both feeds give the same batches, whichever way a set is kept and whoever draws a share of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import data

from sesr_jax.data import PoolFeed, StreamFeed, open_folder, plan_feed, write_image
from sesr_jax.data.colour import rgb_to_y
from sesr_jax.data.degradation import Degradation
from sesr_jax.errors import InputError


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos")
    write_image(path / "a.png", data.astronaut()[:61, :90])
    write_image(path / "b.png", data.coffee()[:80, :54])
    return open_folder(path)


def _plan(photos, **options):
    return plan_feed(photos, scale=2, channels=1, patch=8, batch=4, seed=7, **options)()


def _batches(feed, steps):
    """The batches of some steps, read in one call."""
    (call,) = feed.calls([steps])
    mine = call if feed.data_axis is None else jax.tree.map(lambda x: x[0], call)
    return [
        feed.draw(mine, jax.random.fold_in(jax.random.key(np.uint32(7)), step), jnp.asarray(step))
        for step in steps
    ]


@pytest.mark.parametrize("with_lr", [True, False])
def test_files_give_the_batches_of_the_device(photos, with_lr):
    pytest.importorskip("grain")
    options = {"with_lr": with_lr, "intensities": (1.0, 0.5)}
    pool, stream = (_plan(photos, device_bytes=size, **options) for size in (2**20, 0))
    assert (type(pool), type(stream)) == (PoolFeed, StreamFeed)
    for ours, theirs in zip(*(_batches(feed, range(3, 5)) for feed in (pool, stream)), strict=True):
        assert ours.hr.shape == (4, 16, 16, 1)
        assert (ours.lr is not None) == with_lr
        np.testing.assert_array_equal(ours.hr, theirs.hr)
        if with_lr:
            np.testing.assert_array_equal(ours.lr, theirs.lr)


def test_shares_are_parts_of_the_batch_with_their_keys(photos):
    feed, key = _plan(photos), jax.random.key(1)
    whole = feed.draw(feed.pool, key, jnp.asarray(0))
    shares = [feed.draw(feed.pool, key, jnp.asarray(0), (i, 2)) for i in range(2)]
    for name in ("lr", "hr"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(share, name) for share in shares]), getattr(whole, name)
        )
    keys = [jax.random.key_data(batch.keys) for batch in (*shares, whole)]
    np.testing.assert_array_equal(np.concatenate(keys[:2]), keys[2])
    assert len({tuple(key) for key in keys[2].tolist()}) == 4


def test_low_resolutions_that_are_made_in_the_step_depend_on_their_own_keys(photos):
    """Whatever the number of devices; by a stand-in, since the degradations have tests of their own."""
    read = plan_feed(photos, scale=2, channels=3, patch=8, batch=4, degradation=Degradation())
    made = read()
    assert made.pool.lr is None
    feed = dataclasses.replace(
        made, make_low=lambda key, hr: hr[::2, ::2] * jax.random.uniform(key)
    )
    whole = feed.draw(feed.pool, jax.random.key(1), jnp.asarray(0))
    shares = [feed.draw(feed.pool, jax.random.key(1), jnp.asarray(0), (i, 2)) for i in range(2)]
    np.testing.assert_array_equal(np.concatenate([share.lr for share in shares]), whole.lr)
    factors = (whole.lr / whole.hr[:, ::2, ::2]).max(axis=(1, 2, 3))
    assert len(set(np.round(factors, 3).tolist())) == 4
    with pytest.raises(InputError, match="1 channel"):
        _plan(photos, degradation=Degradation())


def test_a_sample_is_of_the_networks_channels(photos):
    rgb = plan_feed(photos, scale=2, channels=3, patch=8, batch=4)()
    luma = _plan(photos)
    pair = [feed.sample(jax.random.key(0), 2) for feed in (rgb, luma)]
    np.testing.assert_allclose(rgb_to_y(pair[0].lr), pair[1].lr, atol=1e-6)
