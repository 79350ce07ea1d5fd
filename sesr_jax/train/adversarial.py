"""The trainer of a network against a critic (Real-ESRGAN); a config asks for it by ``config.trainer``.

    trainer = make_adversarial(net.module, config)
    state = fit([Stage(trainer=trainer, …)], lambda: trainer.init(net.variables), run=run)

One step gives both networks one update, from the same upscaled images: first the losses of the network under
the critic as it was, then those of the critic, for which the upscaled images are constants. The network is
trained as the supervised one is, batch norms and ranges included.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import linen as nn
from flax import struct
from flax.core import pop
from jax import lax
from typing_extensions import override

from sesr_jax.data.feed import Batch
from sesr_jax.errors import InputError
from sesr_jax.train.cpu import speed_up
from sesr_jax.train.critics import UNetCritic
from sesr_jax.train.distill import Target, make_target
from sesr_jax.train.losses import make_loss
from sesr_jax.train.objective import Forward, Phase, Seen, decide_phase, make_forward
from sesr_jax.train.optim import make_optimizer
from sesr_jax.train.perceptual import Kernels, measure_distance, read_vgg
from sesr_jax.train.state import TrainState, count_on, descend, init_state, list_shapes
from sesr_jax.train.trainer import Carry, Loss, Metrics, Trainer, mean_over_devices


@struct.dataclass
class AdversarialState(TrainState):
    """All that a step changes, so that one checkpoint holds both networks.

    Attributes:
      critic: the critic's variables.
      critic_opt_state: the critic's optimiser's.
    """

    critic: Any
    critic_opt_state: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossWeights:
    """The weights of the network's losses; the defaults are Real-ESRGAN's.

    Attributes:
      pixel: of the config's loss, the mean absolute error in Real-ESRGAN.
      perceptual: of `perceptual.measure_distance`; it takes the kernels of a VGG19.
      critic: of the critic's rating of upscaled images, -log σ(rating).
      maps: of the mean absolute error of the critic's own maps, which stand in where no VGG19 is at hand.
    """

    pixel: float = 1.0
    perceptual: float = 1.0
    critic: float = 0.1
    maps: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Adversarial(Trainer[AdversarialState]):
    """Trains a network and a critic, each by its own optimiser; `make_adversarial` makes it from a config.

    Attributes:
      forward: how the network runs.
      optimizer: of the network.
      critic: a module as `critics.UNetCritic`.
      critic_optimizer: of the critic.
      channels: of the network's images.
      pixel_loss: of upscaled images against `target`.
      target: what the network learns from a batch; the critic sees the high resolutions as they are.
      weights: of the losses.
      vgg: the kernels for the perceptual loss; without them it is left out.
      decay: of the averaged variables; 0 for no average.
      by_batch: see `Supervised`.
      moving: see `Supervised`.
    """

    forward: Forward
    optimizer: optax.GradientTransformation
    critic: nn.Module
    critic_optimizer: optax.GradientTransformation
    channels: int
    pixel_loss: Loss
    target: Target
    weights: LossWeights = LossWeights()
    vgg: Kernels | None = None
    decay: float = 0.999
    by_batch: float = 0
    moving: float = 0

    @override
    def init(self, variables: Any) -> AdversarialState:
        images = jnp.zeros((1, _MULTIPLE, _MULTIPLE, self.channels))
        critic = jax.jit(self.critic.init)(jax.random.key(0), images)
        return AdversarialState(
            **vars(init_state(variables, self.optimizer)),
            critic=critic,
            critic_opt_state=self.critic_optimizer.init(critic["params"]),
        )

    @override
    def go_on(self, before: Any, variables: Any, carry: Carry) -> AdversarialState:
        state = count_on(self.init(variables), before, carry)
        theirs = before.critic if isinstance(before, AdversarialState) else None
        if list_shapes(theirs) != list_shapes(state.critic):
            return state
        return dataclasses.replace(state, critic=theirs)

    @override
    def get_phase(self, state: AdversarialState, done: int) -> Phase:
        return decide_phase(state.variables, done, self.by_batch, self.moving)

    @override
    def update(
        self, state: AdversarialState, batch: Batch, phase: Phase
    ) -> tuple[AdversarialState, Metrics]:
        network = speed_up(functools.partial(self.measure_network, phase=phase))
        (_, (sr, seen)), grads = jax.value_and_grad(network, has_aux=True)(
            state.variables, state.critic, batch
        )
        critic = jax.value_and_grad(speed_up(self.measure_critic), has_aux=True)
        rest, params = pop(state.critic, "params")
        (_, (rest, more)), critic_grads = critic(params, rest, sr, batch.hr)
        seen, grads, rest, more, critic_grads = mean_over_devices(
            (seen, grads, rest, more, critic_grads)
        )
        after = descend(state, grads, seen, self.optimizer, self.decay)
        updates, critic_opt_state = self.critic_optimizer.update(
            critic_grads, state.critic_opt_state, params
        )
        after = dataclasses.replace(
            after,
            critic={**rest, "params": optax.apply_updates(params, updates)},
            critic_opt_state=critic_opt_state,
        )
        return after, {**seen.metrics, **more}

    def measure_network(
        self, variables: Any, critic: Any, batch: Batch, phase: Phase
    ) -> tuple[jax.Array, tuple[jax.Array, Seen]]:
        """Returns the network's loss under a fixed critic, the upscaled images, and what was seen.

        The metrics are the loss and its weighted parts.
        """
        critic = lax.stop_gradient(critic)
        sr, seen = self.forward(variables, batch.lr, phase)
        target = lax.stop_gradient(self.target(batch.lr, batch.hr))
        value, metrics = self.pixel_loss(sr, dataclasses.replace(batch, hr=target))
        weights, ratings = self.weights, self.critic.apply(critic, sr)
        parts = {
            "pixel": weights.pixel * value,
            "adversarial": weights.critic * jnp.mean(nn.softplus(-ratings[0])),
        }
        if self.vgg is not None:
            parts["perceptual"] = weights.perceptual * measure_distance(self.vgg, sr, target)
        if weights.maps:
            theirs = lax.stop_gradient(self.critic.apply(critic, target)[1])
            apart = [jnp.mean(jnp.abs(a - b)) for a, b in zip(ratings[1], theirs, strict=True)]
            parts["maps"] = weights.maps * sum(apart, jnp.zeros(()))
        loss = sum(parts.values(), jnp.zeros(()))
        return loss, (sr, dataclasses.replace(seen, metrics={"loss": loss, **parts, **metrics}))

    def measure_critic(
        self, params: Any, rest: Any, sr: jax.Array, hr: jax.Array
    ) -> tuple[jax.Array, tuple[Any, Metrics]]:
        """Returns the critic's loss on constants, its variables beside the parameters, and its metrics.

        The metrics are the loss, its parts of real and of upscaled images, and the mean ratings of both.
        """
        sr = lax.stop_gradient(sr)
        run = functools.partial(self.critic.apply, follow=True, mutable=["batch_stats"])
        (real, _), rest = run({"params": params, **rest}, hr)
        (fake, _), rest = run({"params": params, **rest}, sr)
        parts = {
            "critic_real": jnp.mean(nn.softplus(-real)),
            "critic_fake": jnp.mean(nn.softplus(fake)),
        }
        loss = parts["critic_real"] + parts["critic_fake"]
        ratings = {"rating_real": jnp.mean(real), "rating_fake": jnp.mean(fake)}
        return loss, (lax.stop_gradient(rest), {"critic": loss, **parts, **ratings})

    @override
    def compute_losses(self, state: AdversarialState, batch: Batch, phase: Phase) -> Any:
        loss, (sr, _) = self.measure_network(state.variables, state.critic, batch, phase)
        rest, params = pop(state.critic, "params")
        return loss, self.measure_critic(params, rest, sr, batch.hr)[0]

    @override
    def get_deployed(self, state: AdversarialState) -> Any:
        return state.ema


_MULTIPLE = 8
"""The critic halves its maps three times."""

_SMALLEST_FOR_VGG = 16
"""A VGG19 halves its maps four times."""


def make_adversarial(
    module: nn.Module, config: ml_collections.ConfigDict, *, files: bool = True
) -> Adversarial:
    """Returns the trainer that a config describes.

    Args:
      module: the network.
      config: as `train.config.base`; the settings of one stage.
      files: whether the teacher and the VGG19 are read; without, the trainer makes states and does not
        update them.

    Raises:
      InputError: a setting of ``config.adversarial`` is not valid, the crops do not suit the critic, the
        VGG19 is missing or cannot be read, or as `distill.make_target` and `optim.make_optimizer`.
    """
    wanted = config.adversarial
    _check(config, module.scale, module.channels)
    theirs = config.copy_and_resolve_references()
    theirs.optim.lr = wanted.lr
    return Adversarial(
        forward=make_forward(module, config),
        optimizer=make_optimizer(config),
        critic=UNetCritic(wanted.features),
        critic_optimizer=make_optimizer(theirs),
        channels=module.channels,
        pixel_loss=make_loss(config),
        target=make_target(config, module.channels, files=files),
        weights=LossWeights(**wanted.weights),
        vgg=read_vgg(wanted.vgg) if wanted.weights.perceptual and files else None,
        decay=config.ema,
        by_batch=config.batch_statistics * config.steps,
        moving=config.quant.moving * config.steps,
    )


def _check(config: ml_collections.ConfigDict, scale: int, channels: int) -> None:
    wanted = config.adversarial
    if wanted.features < 1:
        raise InputError(f"config.adversarial.features is {wanted.features}: it must be positive.")
    for name, value in (
        ("lr", wanted.lr),
        *((f"weights.{k}", v) for k, v in wanted.weights.items()),
    ):
        if value < 0:
            raise InputError(f"config.adversarial.{name} is {value}: it must not be negative.")
    side, perceptual = scale * config.data.patch, bool(wanted.weights.perceptual)
    least = _SMALLEST_FOR_VGG if perceptual else _MULTIPLE
    if side % _MULTIPLE or side < least:
        raise InputError(
            f"config.data.patch is {config.data.patch}, which makes crops of {side}×{side}: for a "
            f"critic their side must be a multiple of {_MULTIPLE}, of {least} or more."
        )
    if perceptual and not wanted.vgg:
        raise InputError(
            f"config.adversarial.weights.perceptual is {wanted.weights.perceptual}, and config.adversarial."
            "vgg is empty: it must name a file of torchvision's VGG19; the variant maps does without."
        )
    if perceptual and channels != 3:
        raise InputError(
            f"config.adversarial.weights.perceptual is {wanted.weights.perceptual} for a network of "
            f"{channels} channel: a VGG19 takes RGB."
        )
