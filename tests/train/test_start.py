"""The weights from which a run starts: those of a file that fit, or none."""

import functools

import jax
import numpy as np
import pytest

from sesr_jax import train
from sesr_jax.errors import InputError
from sesr_jax.models import network


def test_starting_from_related_weights_takes_what_fits(config, tmp_path):
    first = train.train(config, tmp_path / "x2", progress=False)
    config.model.scale = 4
    config.data.patch = 8
    config.init = str(tmp_path / "x2")
    config.optim.lr = 0.0
    second = train.train(config, tmp_path / "x4", progress=False)
    kept, given = second.variables["params"], first.variables["params"]
    for part in given.keys() - {"tail"}:
        close = functools.partial(np.testing.assert_allclose, rtol=1e-5)  # the average rounds
        jax.tree.map(close, kept[part], given[part])
    assert kept["tail"]["term"].out_features == 16


def test_starting_from_unrelated_weights_is_refused(config, tmp_path):
    network.save(network.init("fsrcnn", scale=2, key=jax.random.key(0)), tmp_path / "w.safetensors")
    config.init = str(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"w\.safetensors .*sesr_m3 ×2"):
        train.train(config, tmp_path / "run", progress=False)


def test_starting_from_collapsed_weights_is_refused_where_larger_ones_train(config, tmp_path):
    options = {"scale": 2, "key": jax.random.key(0), **config.model.options}
    network.save(network.init("sesr_m3", **options).collapse(), tmp_path / "w.safetensors")
    config.init = str(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"w\.safetensors .*\(head, block_0"):
        train.train(config, tmp_path / "run", progress=False)
