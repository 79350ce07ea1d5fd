"""Adversarial training: spectral norms, the perceptual loss, who learns from what, and resuming."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from torch_writer import write_zip

from sesr_jax.data import ImagePair, PoolFeed, make_pool
from sesr_jax.data.degradation import Degradation
from sesr_jax.data.feed import Batch
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train import Stage, fit, open_run
from sesr_jax.train.adversarial import Adversarial, LossWeights
from sesr_jax.train.critics import UNetCritic
from sesr_jax.train.perceptual import list_maps, measure_distance, read_vgg


@pytest.fixture(scope="module")
def net():
    return network.init("srvggnet_16", scale=2, key=jax.random.key(0), features=4, blocks=1)


def _make_trainer(net, **changes):
    fields = {"optimizer": optax.adam(1e-3), "critic_optimizer": optax.adam(1e-3)}
    fields |= {"weights": LossWeights(maps=0.5), "decay": 0.5}
    return Adversarial(module=net.module, critic=UNetCritic(4), **(fields | changes))


def _make_batch():
    hr = jnp.asarray(make_photo_noise((2, 16, 16, 3)))
    return Batch(lr=hr[:, ::2, ::2], hr=hr, keys=jax.random.split(jax.random.key(1), 2))


def test_the_critic_has_the_parameters_of_the_original():
    shapes = jax.eval_shape(UNetCritic().init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    assert sum(p.size for p in jax.tree.leaves(shapes["params"])) == 4_376_897


def test_the_spectral_norm_is_the_largest_singular_value():
    critic, x = UNetCritic(4), jnp.asarray(make_photo_noise((1, 16, 16, 3)))
    variables = critic.init(jax.random.key(0), x)
    run = jax.jit(functools.partial(critic.apply, follow=True, mutable=["batch_stats"]))
    for _ in range(60):
        _, found = run(variables, x)
        variables = {**variables, **found}
    sigmas = [
        np.linalg.svd(np.asarray(part["kernel"]).reshape(-1, part["kernel"].shape[-1]))[1][0]
        for name, part in variables["params"].items()
        if name not in ("head", "tail")
    ]
    found = sorted(
        float(value)
        for path, value in jax.tree_util.tree_leaves_with_path(variables["batch_stats"])
        if path[-1].key.endswith("sigma")
    )
    assert len(found) == 8
    np.testing.assert_allclose(found, sorted(sigmas), rtol=1e-2)


def test_neither_network_learns_from_the_other_s_loss(net):
    trainer, batch = _make_trainer(net), _make_batch()
    state = trainer.init(net.variables)

    def network_loss(variables, critic):
        return trainer.measure_network(variables, critic, batch)[0]

    def critic_loss(params, sr):
        rest = {"batch_stats": state.critic["batch_stats"]}
        return trainer.measure_critic(params, rest, sr, batch.hr)[0]

    own, others = jax.jit(jax.grad(network_loss, (0, 1)))(state.variables, state.critic)
    assert all(np.any(g) for g in jax.tree.leaves(own))
    assert not any(np.any(g) for g in jax.tree.leaves(others))
    own, others = jax.jit(jax.grad(critic_loss, (0, 1)))(state.critic["params"], batch.hr)
    assert all(np.any(g) for g in jax.tree.leaves(own))
    assert not np.any(others)


def test_degraded_low_resolutions_are_made_of_each_crop_s_key(net):
    trainer = _make_trainer(net, degradation=Degradation())
    shapes = jax.eval_shape(trainer.prepare, _make_batch().replace(lr=None))
    assert shapes.lr.shape == (2, 8, 8, 3)


@pytest.fixture(scope="module")
def feed():
    image = (make_photo_noise((1, 48, 48, 3))[0] * 255).astype(np.uint8)
    images = [ImagePair(name="generated", hr=image)]
    return PoolFeed(pool=make_pool(images, scale=2, patch=8), batch=2, channels=3)


def test_both_networks_resume_to_the_last_bit(net, feed, tmp_path):
    lines = []
    trainer = _make_trainer(net)

    def run(name, steps):
        stage = Stage(
            trainer=trainer,
            read_feed=lambda: feed,
            steps=steps,
            steps_per_call=1,
            checkpoint_every=1,
        )
        with open_run(tmp_path / name) as opened:
            return fit(
                [stage],
                lambda: trainer.init(net.variables),
                run=opened,
                report=lambda _, values: lines.append(values),
            )

    whole = run("whole", 3)
    run("parts", 1)
    parts = run("parts", 3)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(parts), jax.device_get(whole))
    start = trainer.init(net.variables)
    for name in ("variables", "critic"):
        before, after = (jax.tree.leaves(getattr(s, name)) for s in (start, whole))
        assert all(np.any(a != b) for a, b in zip(before, after, strict=True))
    names = {"loss", "pixel", "adversarial", "maps", "critic", "rating_real", "rating_fake"}
    assert names <= lines[0].keys()


def _make_vgg_arrays():
    rng, channels, place, arrays = np.random.default_rng(0), 3, 0, {}
    for count, features in zip((2, 2, 4, 4, 4), (4, 5, 6, 7, 8), strict=True):
        for _ in range(count):
            arrays[f"features.{place}.weight"] = rng.normal(size=(features, channels, 3, 3)) / 6
            arrays[f"features.{place}.bias"] = rng.normal(size=features)
            channels, place = features, place + 2
        place += 1
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def _run_vgg(arrays, x):
    """torchvision's layers in their order: ReLUs behind convolutions, poolings between stages."""
    h, maps, place = (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], [], 0
    for count in (2, 2, 4, 4, 4):
        for _ in range(count):
            padded = np.pad(h, ((0, 0), (1, 1), (1, 1), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
            kernel = arrays[f"features.{place}.weight"]
            h = np.einsum("nhwcij,ocij->nhwo", windows, kernel) + arrays[f"features.{place}.bias"]
            before, h, place = h, np.maximum(h, 0), place + 2
        maps.append(before)
        n, height, width, c = h.shape
        h = h.reshape(n, height // 2, 2, width // 2, 2, c).max((2, 4))
        place += 1
    return maps


def test_the_perceptual_loss_reads_torchvision_s_vgg19(tmp_path):
    arrays = _make_vgg_arrays()
    write_zip(tmp_path / "vgg.pth", {**arrays, "classifier.0.weight": np.zeros((2, 2), np.float32)})
    vgg = read_vgg(tmp_path / "vgg.pth")
    a, b = (np.asarray(make_photo_noise((1, 32, 32, 3), seed=seed)) for seed in (0, 1))
    ours, theirs = jax.jit(list_maps)(vgg, a), _run_vgg(arrays, a)
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    weights = (0.1, 0.1, 1, 1, 1)
    apart = [np.abs(x - y).mean() for x, y in zip(theirs, _run_vgg(arrays, b), strict=True)]
    expected = sum(w * d for w, d in zip(weights, apart, strict=True))
    assert float(jax.jit(measure_distance)(vgg, a, b)) == pytest.approx(expected, rel=1e-3)


def test_another_network_than_vgg19_is_refused(tmp_path):
    arrays = _make_vgg_arrays()
    del arrays["features.16.weight"]  # VGG16 has no such convolution
    write_zip(tmp_path / "vgg.pth", arrays)
    with pytest.raises(InputError, match=r"vgg\.pth .*features\.16"):
        read_vgg(tmp_path / "vgg.pth")
