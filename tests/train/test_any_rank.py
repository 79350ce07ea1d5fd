"""A learned residual scale, of rank 0, goes the whole way: trained, saved, loaded, exported."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sesr_jax import ops, train
from sesr_jax.data import ImagePair, PoolFeed, make_pool
from sesr_jax.export import Options, TFLiteModel, export_network
from sesr_jax.graph import count_cost
from sesr_jax.models import network
from sesr_jax.models.layers import Conv, anchor, to_pixels
from sesr_jax.models.registry import VARIANTS, Variant
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train import Stage, fit, make_supervised


class _Scaled(nn.Module):
    """Nearest neighbours plus a convolution times one learned number."""

    scale: int = 2
    channels: int = 1
    mode: str = "collapsed"

    @nn.compact
    def __call__(self, x):
        residual_scale = self.param("residual_scale", nn.initializers.constant(0.2), ())
        body = Conv(self.scale**2, 3, name="body")(x)
        scaled = ops.mul(body, residual_scale.astype(x.dtype))
        return to_pixels(ops.add(anchor(x, self.scale), scaled), self.scale)


def test_a_learned_residual_scale_is_trained_saved_loaded_and_exported(tmp_path, monkeypatch):
    variant = Variant(build=_Scaled, scales=(2,), paper="a test")
    monkeypatch.setitem(VARIANTS, "scaled", variant)
    net = network.init("scaled", scale=2, key=jax.random.key(0))
    image = (make_photo_noise((1, 64, 64, 3))[0] * 255).astype(np.uint8)
    pool = make_pool([ImagePair(name="generated", hr=image)], scale=2, patch=8)
    config = train.base()
    config.update(steps=2)
    trainer = make_supervised(net.module, config)
    feed = PoolFeed(pool=pool, batch=2)
    stage = Stage(trainer=trainer, read_feed=lambda: feed, steps=2, steps_per_call=1)
    state = fit([stage], lambda: trainer.init(net.variables))
    trained = dataclasses.replace(net, variables=jax.device_get(trainer.get_deployed(state)))
    learned = trained.variables["params"]["residual_scale"]
    assert learned.shape == ()
    assert learned != net.variables["params"]["residual_scale"]

    network.save(trained.collapse(), tmp_path / "scaled.safetensors")
    loaded = network.load(tmp_path / "scaled.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, trained.variables)
    assert count_cost(loaded.trace((1, 8, 8, 1))).parameters == 9 * 4 + 4 + 1

    options = Options(precision="float32", converter="litert")
    export_network(loaded, tmp_path / "m.tflite", size=(12, 16), options=options)
    x = np.random.default_rng(0).random((1, 12, 16, 1), np.float32)
    expected = loaded.apply(jnp.asarray(x))
    np.testing.assert_allclose(TFLiteModel(tmp_path / "m.tflite")(x), expected, atol=1e-6)
