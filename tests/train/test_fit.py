"""The loop runs any trainer by its public seams: here a toy of two networks, and the documented notebook."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import struct

from sesr_jax import train
from sesr_jax.data import ImagePair, PoolFeed, make_pool, open_source, plan_feed
from sesr_jax.metrics import NetworkEvaluator
from sesr_jax.models import network
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train import DivergedError, Stage, fit, make_supervised, mean_over_devices, open_run


class _Critic(nn.Module):
    """Rates images: one number for each."""

    @nn.compact
    def __call__(self, x):
        x = nn.leaky_relu(nn.Conv(4, (3, 3), strides=2)(x))
        return nn.Dense(1)(x.mean(axis=(1, 2)))[:, 0]


@struct.dataclass
class _Pair:
    """The state of two networks and their two optimisers."""

    step: jax.Array
    variables: dict
    critic: dict
    moments: tuple


@dataclasses.dataclass(frozen=True)
class _Adversarial:
    """Trains a network against a critic, on high resolutions alone that it makes small and noisy itself."""

    upscale: nn.Module
    critic: nn.Module = dataclasses.field(default_factory=_Critic)
    optimizers: tuple = (optax.adam(1e-3), optax.sgd(1e-2))

    def init(self, variables):
        image = jnp.zeros((1, 16, 16, 1))
        critic = self.critic.init(jax.random.key(1), image)
        moments = self.optimizers[0].init(variables), self.optimizers[1].init(critic)
        return jax.tree.map(jnp.copy, _Pair(jnp.zeros((), jnp.int32), variables, critic, moments))

    def get_phase(self, state, done):
        return None

    def _degrade(self, batch):
        small = batch.hr.reshape(*_split(batch.hr)).mean(axis=(2, 4))
        noise = jax.vmap(lambda key, x: jax.random.normal(key, x.shape))(batch.keys, small)
        return small + 0.01 * noise

    def _losses(self, variables, critic, batch):
        sr = self.upscale.apply(variables, self._degrade(batch))
        real, fake = self.critic.apply(critic, batch.hr), self.critic.apply(critic, sr)
        content = jnp.mean(jnp.abs(sr - batch.hr))
        generator = content + 1e-2 * jnp.mean(nn.softplus(-fake))
        return generator, jnp.mean(nn.softplus(-real) + nn.softplus(fake)), content

    def compute_losses(self, state, batch, phase):
        return self._losses(state.variables, state.critic, batch)

    def update(self, state, batch, phase):
        def generator(variables):
            loss, _, content = self._losses(variables, state.critic, batch)
            return loss, content

        def critic(variables):
            return self._losses(state.variables, variables, batch)[1]

        found = jax.value_and_grad(generator, has_aux=True)(state.variables)
        found = found, jax.value_and_grad(critic)(state.critic)
        ((loss, content), grads), (critic_loss, critic_grads) = mean_over_devices(found)
        new, moments = [], []
        for tx, gradient, old, moment in zip(
            self.optimizers,
            (grads, critic_grads),
            (state.variables, state.critic),
            state.moments,
            strict=True,
        ):
            updates, after = tx.update(gradient, moment, old)
            new.append(optax.apply_updates(old, updates))
            moments.append(after)
        after = _Pair(state.step + 1, *new, tuple(moments))
        return after, {"loss": loss, "content": content, "critic_loss": critic_loss}

    def get_deployed(self, state):
        return state.variables


def _split(x):
    n, height, width, c = x.shape
    return n, height // 2, 2, width // 2, 2, c


@pytest.fixture(scope="module")
def feed() -> PoolFeed:
    image = (make_photo_noise((1, 64, 64, 3))[0] * 255).astype(np.uint8)
    images = [ImagePair(name="generated", hr=image)]
    return PoolFeed(pool=make_pool(images, scale=2, patch=8, with_lr=False), batch=2)


@pytest.fixture(scope="module")
def net() -> network.Network:
    options = {"form": "dense", "blocks": 1, "features": 4}
    return network.init("sesr_m3", scale=2, key=jax.random.key(0), **options)


def _stage(net, feed, steps, **changes) -> Stage:
    fields = {"trainer": _Adversarial(net.module), "read_feed": lambda: feed, "steps": steps}
    return Stage(**{**fields, "steps_per_call": 2, "checkpoint_every": 4, **changes})


@dataclasses.dataclass
class _Counter:
    """A trainer that counts its steps, and how often `update` is traced."""

    traced: int = 0

    def init(self, variables):
        return _Pair(jnp.zeros((), jnp.int32), variables, {}, ())

    def get_phase(self, state, done):
        return None

    def update(self, state, batch, phase):
        self.traced += 1
        state = state.replace(step=state.step + 1, variables=state.variables + 1)
        return state, {"loss": jnp.mean(batch.hr)}

    def compute_losses(self, state, batch, phase):
        return jnp.mean(batch.hr)

    def get_deployed(self, state):
        return state.variables


def test_a_step_is_compiled_once(net, feed):
    trainer = _Counter()
    stage = _stage(net, feed, 6, trainer=trainer, checkpoint_every=None)
    assert float(fit([stage], lambda: trainer.init(jnp.zeros(()))).variables) == 6
    assert trainer.traced == 1


def _lines(run: pathlib.Path) -> list[dict]:
    return list(train.read_log(run))


def _assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_trainer_of_two_networks_trains_logs_both_losses_and_resumes_to_the_last_bit(
    net, feed, tmp_path
):
    shown = []

    def run(name, steps):
        stage = _stage(net, feed, steps)
        with open_run(tmp_path / name) as opened:
            return fit(
                [stage],
                lambda: stage.trainer.init(net.variables),
                run=opened,
                report=lambda step, values: shown.append((name, step, values)),
            )

    whole = run("whole", 8)
    run("parts", 4)
    parts = run("parts", 8)
    _assert_equal(jax.device_get(parts), jax.device_get(whole))
    assert int(whole.step) == 8
    start = _Adversarial(net.module).init(net.variables)
    for name in ("variables", "critic"):
        before, after = (jax.tree.leaves(getattr(state, name)) for state in (start, whole))
        assert all(np.any(a != b) for a, b in zip(before, after, strict=True))

    lines = _lines(tmp_path / "whole")
    assert lines == _lines(tmp_path / "parts")
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert all(line.keys() == {"step", "loss", "content", "critic_loss"} for line in lines)
    assert [(step, values["loss"]) for name, step, values in shown if name == "whole"] == [
        (line["step"], line["loss"]) for line in lines
    ]


def test_a_finished_run_is_not_trained_again(net, feed, tmp_path):
    trainer = _Adversarial(net.module)
    shapes = jax.eval_shape(lambda: trainer.init(net.variables))
    stage = _stage(net, feed, 4, shapes=shapes)
    for start in (lambda: trainer.init(net.variables), lambda: 1 / 0):
        with open_run(tmp_path) as run:
            state = fit([stage], start, run=run)
    assert int(state.step) == 4
    assert len(_lines(tmp_path)) == 2


def test_the_last_call_of_a_stage_is_as_short_as_it_must_be(net, feed):
    seen = []
    states = [
        fit(
            [_stage(net, feed, count) for count in counts],
            lambda: _Adversarial(net.module).init(net.variables),
            report=lambda step, _: seen.append(step),
        )
        for counts in ([6], [3, 3])
    ]
    assert seen == [2, 4, 6, 2, 3, 4, 6]
    _assert_equal(*jax.device_get(states))


def test_stages_transform_the_state_and_label_what_they_log(net, feed, tmp_path):
    def halve(state, feed):
        halved = jax.tree.map(lambda p: p / 2, state.variables)
        return state.replace(variables=halved), {"scale": 0.5}

    seen = []
    stages = [
        _stage(net, feed, 2, label={"stage": 0}),
        _stage(
            net,
            feed,
            4,
            enter=halve,
            label={"stage": 1},
            eval_every=2,
            evaluate=lambda variables: seen.append(variables) or {"score": len(seen)},
            schedules={"rate": lambda step: 10.0 + step},
        ),
    ]
    with open_run(tmp_path) as run:
        fit(stages, lambda: stages[0].trainer.init(net.variables), run=run)
    lines = _lines(tmp_path)
    assert [(line["step"], line["stage"]) for line in lines if "loss" in line] == [
        (2, 0),
        (4, 1),
        (6, 1),
    ]
    assert [line for line in lines if "scale" in line] == [{"step": 2, "stage": 1, "scale": 0.5}]
    assert [line["rate"] for line in lines if "rate" in line] == [12.0, 14.0]
    assert [line["score"] for line in lines if "score" in line] == [1, 2]
    assert [line["stage_score"] for line in lines if "stage_score" in line] == [2]


def test_a_metric_that_is_not_finite_is_named_with_its_step(net, feed):
    @dataclasses.dataclass(frozen=True)
    class Diverging(_Adversarial):
        def update(self, state, batch, phase):
            after, metrics = super().update(state, batch, phase)
            return after, {**metrics, "content": jnp.where(state.step == 4, jnp.nan, 0.0)}

    stage = _stage(net, feed, 8, trainer=Diverging(net.module))
    with pytest.raises(DivergedError, match="content is nan at step 5") as caught:
        fit([stage], lambda: stage.trainer.init(net.variables))
    assert (caught.value.step, caught.value.last) == (5, None)


def test_the_documented_notebook_trains(photos):
    net = network.init("sesr_m3", scale=2, key=jax.random.key(0), blocks=1, expansion=8)
    config = train.base()
    images = open_source(str(photos), scale=2)
    read_feed = plan_feed(images, scale=2, channels=1, patch=8, batch=4)
    trainer = make_supervised(net.module, config)
    evaluate = NetworkEvaluator(net, images)
    lines = []
    stage = Stage(
        trainer=trainer,
        read_feed=read_feed,
        steps=4,
        steps_per_call=2,
        eval_every=4,
        evaluate=evaluate,
    )
    state = fit(
        [stage],
        lambda: trainer.init(net.variables),
        report=lambda step, values: lines.append(json.dumps({"step": step, **values})),
    )
    trained = dataclasses.replace(net, variables=trainer.get_deployed(state)).collapse()
    assert evaluate(trained.variables) == pytest.approx(evaluate(state.ema))
    assert len(lines) == 3


def test_a_loss_of_ones_own_adds_its_metrics(net):
    """A supervised trainer with a loss that is no function of the error alone."""
    image = (make_photo_noise((1, 64, 64, 3))[0] * 255).astype(np.uint8)
    pool = make_pool([ImagePair(name="generated", hr=image)], scale=2, patch=8)

    def loss(sr, batch):
        error = jnp.mean(jnp.abs(sr - batch.hr))
        spread = jnp.abs(jnp.std(sr) - jnp.std(batch.hr))
        return error + spread, {"error": error, "spread": spread}

    config = train.base()
    config.update(steps=2)
    trainer = make_supervised(net.module, config, loss)
    stage = Stage(
        trainer=trainer, read_feed=lambda: PoolFeed(pool=pool, batch=2), steps=2, steps_per_call=1
    )
    lines = []
    fit([stage], lambda: trainer.init(net.variables), report=lambda _, v: lines.append(v))
    for line in lines:
        assert line.keys() == {"loss", "error", "spread"}
        assert line["loss"] == pytest.approx(line["error"] + line["spread"], rel=1e-5)
