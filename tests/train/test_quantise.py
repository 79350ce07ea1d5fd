"""Quantised stages: ranges start, move and freeze; what is trained is what is exported."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from pool_steps import compile_for_pool
from small_networks import SIDE, small_networks, small_options

from sesr_jax import train
from sesr_jax.data import Batch
from sesr_jax.data.pool import make_pool
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError
from sesr_jax.models import create, network
from sesr_jax.quant import RANGES, Scheme, apply, calibrate, find_points
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train.objective import Phase, make_objective
from sesr_jax.train.optim import make_optimizer
from sesr_jax.train.stages import enter, eval_state_shapes, plan
from sesr_jax.train.state import init_state
from sesr_jax.train.trainers import make_trainer


def _config(**quant) -> ml_collections.ConfigDict:
    config = train.base()
    config.model.update(name="sesr_m3", scale=2)
    config.model.options = ml_collections.ConfigDict({"blocks": 1, "features": 4, "expansion": 8})
    config.data.update(patch=12, batch=2)
    config.optim.update(name="adamw", lr=1e-3)
    config.optim.options.weight_decay = 0.5  # must not touch what is observed
    config.update(steps=4, steps_per_call=1, eval_every=4, checkpoint_every=2)
    config.quant.update(momentum=0.5, moving=0.5, **quant)
    config.stages = (train.stage("quantise"),)
    return config


def _net(config: ml_collections.ConfigDict) -> network.Network:
    options = config.model.options
    return network.init(config.model.name, scale=2, key=jax.random.key(0), **options)


def _history(config: ml_collections.ConfigDict) -> list[dict[str, np.ndarray]]:
    """The ranges before the first step and after each."""
    image = (make_photo_noise((1, 64, 64, 3))[0] * 255).astype(np.uint8)
    pool = make_pool([ImagePair(name="generated", hr=image)], scale=2, patch=12)
    (stage,), net, tx = plan(config), _net(config), make_optimizer(config)
    groups = find_points(net.trace((1, 8, 8, 1))).group.values()
    started = {group: np.asarray([-0.5, 0.75], np.float32) for group in groups}
    trainer = make_trainer(net.module, stage.config)
    state = enter(stage, (trainer, trainer), init_state(net.variables, tx), lambda _: started)
    steps, history = compile_for_pool(net.module, stage.config, pool), [started]
    for done in range(config.steps):
        state, _ = steps(state, pool, done)
        history.append(jax.device_get(state.variables[RANGES]))
    return history


@pytest.mark.parametrize(("ranges", "observer"), [("ema", "percentile"), ("learned", "min_max")])
def test_ranges_move_and_then_freeze(ranges, observer):
    history = _history(_config(ranges=ranges, observer=observer))
    net = _net(_config())
    where = find_points(net.trace((1, 8, 8, 1)))
    free = set(where.group.values()) - set(where.fixed)
    for before, after in ((0, 1), (1, 2)):
        assert all(np.any(history[before][group] != history[after][group]) for group in free)
    for after in (3, 4):
        jax.tree.map(np.testing.assert_array_equal, history[2], history[after])
    for low, high in history[-1].values():
        assert low <= 0 < high
    for group in where.fixed:
        np.testing.assert_array_equal(history[-1][group], history[0][group])


def test_an_average_of_measures_approaches_what_tensors_hold():
    """From ranges that are far too wide, half of the way a step."""
    history = _history(_config())
    widths = [float(np.ptp(ranges["block_0/conv2d"])) for ranges in history]
    assert widths[0] > widths[1] > widths[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = _config(exclude=("tail/*",))
    config.stages = (train.stage(), train.stage("quantise"))
    folder = tmp_path_factory.mktemp("quantised") / "run"
    return config, folder, train.train(config, folder, progress=False)


def test_a_run_keeps_its_ranges_and_its_scheme_in_checkpoints_and_files(run):
    _, folder, trained = run
    assert trained.scheme == Scheme(exclude=("tail/*",))
    assert trained.ranges is not None
    assert trained.ranges.keys() == set(
        find_points(trained.trace((1, 8, 8, 1)), trained.scheme).group.values()
    )
    for same in (
        train.load_network(folder),
        network.load(folder / train.EXPANDED),
        network.load(folder / train.WEIGHTS),
    ):
        assert same.ranges == trained.ranges
        assert same.scheme == trained.scheme


def test_a_trained_network_runs_on_its_codes_until_its_ranges_are_taken_away(run):
    _, _, trained = run
    x = make_photo_noise((1, 16, 16, 1))
    floating = trained.module.apply({"params": trained.variables["params"]}, x)
    assert 0 < np.abs(trained.apply(x) - floating).mean() < 0.03


def test_the_log_says_what_quantising_costs(run):
    _, folder, _ = run
    (entered,) = [line for line in train.read_log(folder) if "psnr_after" in line]
    assert entered["kernel_change"] == 0
    assert entered["psnr_after"] != entered["psnr_before"]


def test_activations_of_16_bits_train_quantised():
    """What is added to a tensor does not widen it, as centring would."""
    net = network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4)
    x = jnp.full((1, 8, 8, 1), 0.5, jnp.bfloat16)
    ranges = calibrate(net.trace((1, 8, 8, 1)), [np.full((1, 8, 8, 1), 0.5)])
    variables = {**net.variables, RANGES: {k: np.float32(v) for k, v in ranges.items()}}
    assert apply(net.module, variables, x).dtype == jnp.bfloat16


def test_patterns_that_match_nothing_are_refused_before_any_work(tmp_path):
    config = _config(exclude=("neck/*",))
    config.init = "expanded.safetensors"
    with pytest.raises(InputError, match=r"'neck/\*' matches no node"):
        train.train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("key", "value"), [("observer", "median"), ("ranges", "fixed"), ("activations", "int4")]
)
def test_unknown_choices_are_refused(tmp_path, key, value):
    with pytest.raises(InputError, match=rf"config\.quant\.{key} is '{value}'"):
        train.train(_config(**{key: value}), tmp_path / "run", progress=False)


@pytest.mark.parametrize(("name", "scale"), dict(small_networks()).items())
def test_every_model_trains_quantised(name, scale):
    """In shapes alone: the graph is traced, its tensors have ranges, and gradients reach all parameters."""
    config = _config(ranges="learned")
    module = create(name, scale=scale, **small_options(name))
    lr, hr = (jnp.zeros((1, side, side, module.channels)) for side in (SIDE, SIDE * scale))
    variables = jax.eval_shape(module.init, jax.random.key(0), lr)
    trainer = make_trainer(module, config)
    (state,) = eval_state_shapes(module, plan(config), [trainer], variables)
    gradient = jax.grad(make_objective(module, config), has_aux=True)
    phase = Phase(by_batch=False, moving=True)
    found, _ = jax.eval_shape(lambda v: gradient(v, Batch(lr=lr, hr=hr), phase), state.variables)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, state.variables)
    assert RANGES in found
