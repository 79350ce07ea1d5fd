"""Adversarial training: spectral norms, the perceptual loss, who learns from what, and resuming."""

import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file
from torch_writer import write_zip

from sesr_jax import train
from sesr_jax.data.degradation import sharpen
from sesr_jax.data.feed import Batch
from sesr_jax.data.sources import open_source
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train.critics import UNetCritic
from sesr_jax.train.objective import Phase
from sesr_jax.train.perceptual import list_maps, measure_distance, read_vgg
from sesr_jax.train.saving import open_manager
from sesr_jax.train.stage_page import PAGE
from sesr_jax.train.stages import enter, plan
from sesr_jax.train.trainers import make_trainer
from sesr_jax.train.training import plan_crops
from sesr_jax.train.validation import validate

_PHASE = Phase(by_batch=False, moving=False)


@pytest.fixture(scope="module")
def net():
    return network.init("srvggnet_16", scale=2, key=jax.random.key(0), features=4, blocks=1)


def _make_config(**changes):
    """The config of a training against a small critic without a VGG19; `changes` are of "adversarial"."""
    config = train.base()
    config.trainer = "adversarial"
    config.update(ema=0.5, steps=3)
    config.optim.update(name="adam", lr=1e-3)
    config.data.update(patch=8, sharpened=True)
    config.adversarial.update(features=4, lr=1e-3)
    config.adversarial.weights.update(perceptual=0.0, maps=0.5)
    config.adversarial.update(changes)
    return config


def _make_trainer(net):
    return make_trainer(net.module, _make_config())


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
    for _ in range(200):
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
    np.testing.assert_allclose(found, sorted(sigmas), rtol=1e-3)


def test_neither_network_learns_from_the_other_s_loss(net):
    trainer, batch = _make_trainer(net), _make_batch()
    state = trainer.init(net.variables)

    def network_loss(variables, critic):
        return trainer.measure_network(variables, critic, batch, _PHASE)[0]

    def critic_loss(params, sr):
        rest = {"batch_stats": state.critic["batch_stats"]}
        return trainer.measure_critic(params, rest, sr, batch.hr)[0]

    own, others = jax.jit(jax.grad(network_loss, (0, 1)))(state.variables, state.critic)
    assert all(np.any(g) for g in jax.tree.leaves(own))
    assert not any(np.any(g) for g in jax.tree.leaves(others))
    own, others = jax.jit(jax.grad(critic_loss, (0, 1)))(state.critic["params"], batch.hr)
    assert all(np.any(g) for g in jax.tree.leaves(own))
    assert not np.any(others)


def test_the_network_learns_sharpened_images_under_the_weights_of_the_config(net):
    trainer, batch = _make_trainer(net), _make_batch()
    state = trainer.init(net.variables)
    measure = jax.jit(functools.partial(trainer.measure_network, phase=_PHASE))
    loss, (sr, seen) = measure(state.variables, state.critic, batch)
    ratings, ours = trainer.critic.apply(state.critic, sr)
    target = jax.vmap(sharpen)(batch.hr)
    _, theirs = trainer.critic.apply(state.critic, target)
    apart = [float(jnp.mean(jnp.abs(a - b))) for a, b in zip(ours, theirs, strict=True)]
    expected = {
        "pixel": float(jnp.mean(jnp.abs(sr - target))),
        "adversarial": 0.1 * float(jnp.mean(jnp.log1p(jnp.exp(-ratings)))),
        "maps": 0.5 * sum(apart),
    }
    expected["loss"] = sum(expected.values())
    assert {k: float(v) for k, v in seen.metrics.items()} == pytest.approx(expected, rel=1e-4)
    assert float(loss) == float(seen.metrics["loss"])


def test_a_stage_against_a_critic_begins_with_a_fresh_one_or_with_that_of_the_stage_before(net):
    config = _make_config()
    config.stages = (train.stage(trainer="supervised"), train.stage(), train.stage(loss="l2"))
    stages = plan(config)
    alone, first, second = (make_trainer(net.module, stage.config) for stage in stages)
    state = alone.init(net.variables).replace(step=jnp.int32(7))
    state = state.replace(ema=jax.tree.map(jnp.zeros_like, state.ema))
    one = enter(stages[1], (alone, first), state, lambda _: {})
    assert int(one.step) == 7
    _same(one.variables, state.ema)
    _same(one.critic, first.init(net.variables).critic)
    trained = one.replace(critic=jax.tree.map(lambda x: x + 1, one.critic))
    _same(enter(stages[2], (first, second), trained, lambda _: {}).critic, trained.critic)
    back = enter(stages[0], (second, alone), trained, lambda _: {})
    assert jax.tree.structure(back) == jax.tree.structure(state)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("trainer", "adversary", "'adversary'"),
        ("data.patch", 6, "12×12"),
        ("adversarial.features", 0, "features is 0"),
        ("adversarial.lr", -1.0, "lr is -1"),
        ("adversarial.weights.maps", -0.5, r"maps is -0\.5"),
        ("adversarial.weights.perceptual", 1.0, r"vgg is empty"),
        ("data.degradation.jpeg_range", (0.0, 95.0), r"data\.degradation\.jpeg_range is \(0\.0"),
        ("data.degradation.blur_sigma", (3.0, 0.2), r"data\.degradation\.blur_sigma is \(3\.0"),
        ("data.degradation.sinc_prob", 1.5, r"sinc_prob is 1\.5"),
    ],
)
def test_what_cannot_be_trained_is_refused(net, path, value, told):
    config = _make_config()
    config.data.degraded = True

    def check():
        validate(config)
        make_trainer(net.module, config)

    check()
    config.update_from_flattened_dict({path: value})
    with pytest.raises(InputError, match=told):
        check()


def _same(a, b):
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), jax.device_get(b))


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A file of a small VGG19."""
    path = tmp_path_factory.mktemp("vgg") / "vgg.safetensors"
    save_file(_make_vgg_arrays(), path)
    return path


@pytest.fixture(scope="module")
def config(photos, vgg):
    """A run of seconds with every loss."""
    config = _make_config(vgg=str(vgg))
    config.adversarial.weights.perceptual = 1.0
    config.model.update(name="srvggnet_16", scale=2, options={"features": 4, "blocks": 1})
    config.data.update(train=str(photos), eval=str(photos), batch=2)
    config.update(steps=2, steps_per_call=1, eval_every=2, checkpoint_every=1)
    return config


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """Its folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train.train(config, folder, progress=False)
    return folder


def test_all_losses_are_logged_and_plotted(run):
    losses = {"loss", "pixel", "adversarial", "perceptual", "maps", "learning_rate"}
    critics = {"critic", "critic_real", "critic_fake", "rating_real", "rating_fake"}
    line, *_ = train.read_log(run)
    assert line.keys() == {"step"} | losses | critics
    page = (run / PAGE).read_text("utf-8")
    assert all(f">{name}</" in page for name in losses | critics)


def test_the_critic_sees_high_resolutions_as_they_are(config, run, net):
    """And not the sharpened ones that the network learns: by its rating in the first step."""
    images = open_source(config.data.train, scale=2)
    feed = plan_crops(config, net, images)()
    key = jax.random.fold_in(jax.random.key(np.uint32(config.seed)), 0)
    hr = feed.draw(feed.pool, key, jnp.int32(0)).hr
    trainer = make_trainer(net.module, config, files=False)
    critic = trainer.init(net.variables).critic
    rate = jax.jit(functools.partial(trainer.critic.apply, follow=True, mutable=["batch_stats"]))
    true, sharpened = (float(rate(critic, x)[0][0].mean()) for x in (hr, jax.vmap(sharpen)(hr)))
    line, *_ = train.read_log(run)
    assert line["rating_real"] == pytest.approx(true, rel=1e-5)
    assert line["rating_real"] != pytest.approx(sharpened, rel=3e-5)


def test_both_networks_resume_to_the_last_bit(config, run, net, tmp_path):
    resumed = tmp_path / "resumed"
    shutil.copytree(run, resumed)
    shutil.rmtree(resumed / "checkpoints" / "2")
    trained = train.train(config, resumed, progress=False)
    _same(train.load_network(run).variables, trained.variables)
    whole, parts = (_read_state(folder) for folder in (run, resumed))
    _same(parts, whole)
    start = make_trainer(net.module, config, files=False).init(net.variables)
    for name in ("variables", "critic"):
        before, after = (jax.tree.leaves(s[name]) for s in (_to_dicts(start), whole))
        assert len(before) == len(after)
        assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _read_state(folder):
    with open_manager(folder) as steps:
        return steps.restore(2)


def _to_dicts(state):
    return {name: getattr(state, name) for name in ("variables", "critic")}


def test_a_run_goes_on_with_its_own_vgg19_alone(config, run, vgg, tmp_path):
    other = tmp_path / "run"
    shutil.copytree(run, other)
    before = vgg.read_bytes()
    save_file(_make_vgg_arrays(seed=1), vgg)
    try:
        with pytest.raises(InputError, match=r"vgg\.safetensors .*run"):
            train.train(config, other, progress=False)
    finally:
        vgg.write_bytes(before)


def _make_vgg_arrays(seed=0):
    rng, channels, place, arrays = np.random.default_rng(seed), 3, 0, {}
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
    save_file(arrays, tmp_path / "vgg.safetensors")
    vgg = read_vgg(tmp_path / "vgg.pth")
    _same(vgg, read_vgg(tmp_path / "vgg.safetensors"))
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
