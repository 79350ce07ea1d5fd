"""A form that a config names trains, with batch norms that learn their averages and then freeze."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest
from flax import linen as nn
from pool_steps import compile_for_pool

from sesr_jax import ops, train
from sesr_jax.data import write_image
from sesr_jax.data.colour import rgb_to_y
from sesr_jax.data.pool import make_pool, sample
from sesr_jax.data.sources import open_source
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.reparam import Conv, LinearConv, conv_bn, find_statistics, is_term
from sesr_jax.train.optim import make_optimizer
from sesr_jax.train.state import init_state


@pytest.fixture
def config(tmp_path) -> ml_collections.ConfigDict:
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "noise.png", noise)
    made = train.base()
    made.model.update(name="sesr_m3", scale=2)
    made.model.options.features = 4
    made.model.options.blocks = 1
    made.model.options.form = "repvgg_bn"
    made.data.update(
        train=str(tmp_path / "images"), eval=str(tmp_path / "images"), patch=8, batch=2
    )
    made.update(steps=4, steps_per_call=1, eval_every=4, checkpoint_every=4, batch_statistics=0.5)
    return made


class _Tiny(nn.Module):
    channels: int = 1

    @nn.compact
    def __call__(self, x):
        return ops.depth_to_space(LinearConv(4, conv_bn(3))(x), block=2)


def test_batch_norms_follow_the_batches_and_then_freeze(config):
    config.optim.name = "adamw"
    config.optim.options.weight_decay = 0.5  # must not touch the averages
    module = _Tiny()
    variables = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    pool = make_pool(open_source(config.data.train, scale=2), scale=2, patch=8)
    tx = make_optimizer(config)
    steps, state = compile_for_pool(module, config, pool), init_state(variables, tx)

    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    lr, _ = sample(pool, key, config.data.batch)
    _, seen = module.apply(variables, rgb_to_y(lr), mutable=["statistics"])
    first = optax.incremental_update(
        find_statistics(seen["statistics"]),
        find_statistics(state.variables["params"]),
        step_size=0.1,
    )

    history = [jax.device_get(state.variables["params"])]
    for done in range(config.steps):
        state, _ = steps(state, pool, done)
        history.append(jax.device_get(state.variables["params"]))
    held = [find_statistics(params) for params in history]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), held[1], first)
    for before, after in ((0, 1), (1, 2)):
        assert all(np.any(held[before][name][0] != held[after][name][0]) for name in held[0])
    for after in (3, 4):
        jax.tree.map(np.testing.assert_array_equal, held[2], held[after])
        kernels = (jax.tree.leaves(history[i])[0] for i in (after - 1, after))
        assert np.any(next(kernels) != next(kernels))


def test_a_later_stage_freezes_by_its_own_steps(config):
    """Its first step, the run's fifth, is before the half of its own four."""
    fresh = network.init("sesr_m3", scale=2, key=jax.random.key(0), **config.model.options)
    pool = make_pool(open_source(config.data.train, scale=2), scale=2, patch=8)
    tx = make_optimizer(config)
    state = init_state(fresh.variables, tx).replace(step=jnp.asarray(4))
    before = jax.device_get(find_statistics(state.variables["params"]))
    state, _ = compile_for_pool(fresh.module, config, pool)(state, pool, 0)
    after = find_statistics(state.variables["params"])
    assert all(np.any(before[name][0] != after[name][0]) for name in before)


def test_a_named_form_trains_to_a_network_of_plain_convolutions(config, tmp_path):
    config.batch_statistics = 0.0
    trained = train.train(config, tmp_path / "run", progress=False)
    deployed = network.load(tmp_path / "run" / train.WEIGHTS)
    terms = [t for t in jax.tree.leaves(deployed.variables, is_leaf=is_term) if is_term(t)]
    assert len(terms) == 3
    assert all(isinstance(term, Conv) for term in terms)
    x = jax.random.uniform(jax.random.key(0), (1, 9, 8, 1))
    np.testing.assert_allclose(deployed.apply(x), trained.apply(x), atol=1e-5)
    shape = 1, 9, 8, 1
    ops_of = [[node.op for node in net.trace(shape).nodes] for net in (trained, deployed)]
    assert ops_of[0] == ops_of[1]
    again = network.load(tmp_path / "run" / train.EXPANDED)
    assert find_statistics(again.variables).keys() == find_statistics(trained.variables).keys()
    np.testing.assert_array_equal(again.apply(x), trained.apply(x))


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_beyond_the_run_is_refused(config, tmp_path, share):
    config.batch_statistics = share
    with pytest.raises(InputError, match="batch_statistics"):
        train.train(config, tmp_path / "run", progress=False)


def test_an_unknown_form_is_refused(config, tmp_path):
    config.model.options.form = "repvg"
    with pytest.raises(InputError, match="unknown form 'repvg'"):
        train.train(config, tmp_path / "run", progress=False)
