"""A step's loss is the objective's, on the crops that its seed and number draw."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from jax import lax
from pool_steps import compile_for_pool

from sesr_jax import train
from sesr_jax.data import Batch
from sesr_jax.data.colour import to_channels
from sesr_jax.data.pool import Pool, make_pool, sample, scale_intensities
from sesr_jax.data.sources import ImagePair
from sesr_jax.models import network
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train.objective import Phase, make_objective
from sesr_jax.train.optim import make_optimizer
from sesr_jax.train.state import init_state

_SMALL = {"form": "dense", "blocks": 1, "features": 4}


@pytest.fixture
def config() -> ml_collections.ConfigDict:
    made = train.base()
    made.model.update(name="sesr_m3", scale=2, options=_SMALL)
    made.data.update(patch=12, batch=4)
    made.update(seed=7, steps=1, steps_per_call=1)
    return made


@pytest.fixture(scope="module")
def pool() -> Pool:
    image = (make_photo_noise((1, 64, 64, 3))[0] * 255).astype(np.uint8)
    return make_pool([ImagePair(name="generated", hr=image)], scale=2, patch=12)


@pytest.fixture(scope="module")
def net() -> network.Network:
    return network.init("sesr_m3", scale=2, key=jax.random.key(0), **_SMALL)


def _loss(config, net, pool) -> float:
    """Of a run's first step."""
    tx = make_optimizer(config)
    state = init_state(net.variables, tx)
    return float(compile_for_pool(net.module, config, pool)(state, pool, 0)[1]["loss"][0])


def _crops(config, pool):
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    pairs = sample(pool, key, config.data.batch)
    return (
        to_channels(x, 1)
        for x in scale_intensities(pairs, key, config.data.batch, config.data.intensities)
    )


def _objective(config, net, lr, hr) -> float:
    phase = Phase(by_batch=False, moving=False)
    objective = jax.jit(make_objective(net.module, config), static_argnums=2)
    return float(objective(net.variables, Batch(lr=lr, hr=hr), phase)[0])


def test_the_loss_is_that_of_the_dimmed_crops(config, net, pool):
    config.data.intensities = (0.7, 0.5)
    loss = _loss(config, net, pool)
    assert loss == pytest.approx(_objective(config, net, *_crops(config, pool)), rel=1e-5)
    config.data.intensities = (1.0,)
    assert abs(loss - _objective(config, net, *_crops(config, pool))) > 1e-3


@pytest.mark.parametrize("ensemble", [True, False])
def test_the_loss_is_that_to_the_teachers_image_by_its_weight(
    config, net, pool, ensemble, tmp_path
):
    teacher = network.init("sesr_m3", scale=2, key=jax.random.key(1), **_SMALL)
    network.save(teacher, tmp_path / "teacher.safetensors")
    config.distill.update(
        teacher=str(tmp_path / "teacher.safetensors"), weight=0.25, ensemble=ensemble
    )
    upscale = jax.jit(teacher.apply)
    lr, hr = map(np.asarray, _crops(config, pool))
    turns = [(flip, k) for flip in (1, -1) for k in range(4)] if ensemble else [(1, 0)]
    images = [
        np.rot90(upscale(np.rot90(lr[:, ::flip], k, (1, 2))), -k, (1, 2))[:, ::flip]
        for flip, k in turns
    ]
    image = np.clip(np.mean(images, axis=0), 0, 1)
    by_hand = np.abs(jax.jit(net.apply)(lr) - (0.75 * hr + 0.25 * image)).mean()
    assert _loss(config, net, pool) == pytest.approx(float(by_hand), rel=1e-5)
    assert abs(by_hand - _objective(config, net, lr, hr)) > 1e-4


@pytest.mark.parametrize(
    ("form", "mode", "looped"),
    [("dense", "collapsed", True), ("ecb", "expanded", False)],
)
def test_a_call_of_three_steps_is_three_calls(config, pool, monkeypatch, form, mode, looped):
    """On a CPU the device loops over the steps only where that is fast."""
    options = _SMALL | {"form": form, "features": 8}  # of which each is a group in ECB
    net = network.init("sesr_m3", scale=2, key=jax.random.key(0), **options)
    module, tx = net.module.clone(mode=mode), make_optimizer(config)

    def losses(per_call):
        config.steps_per_call = per_call
        state, found = init_state(jax.tree.map(jnp.array, net.variables), tx), []
        steps = compile_for_pool(module, config, pool)
        for done in range(0, 3, per_call):
            state, metrics = steps(state, pool, done)
            found.extend(metrics["loss"])
        return found

    scans = []
    monkeypatch.setattr(
        "sesr_jax.train.steps.lax.scan",
        lambda *a, scan=lax.scan, **k: scans.append(k.get("length")) or scan(*a, **k),
    )
    together = losses(3)
    assert (3 in scans) == (looped or jax.default_backend() != "cpu")
    np.testing.assert_allclose(together, losses(1), rtol=1e-5)
