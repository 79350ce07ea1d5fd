"""The trainer of a network against a critic, on high resolutions that it may degrade itself (Real-ESRGAN).

    trainer = Adversarial(module=net.module, critic=UNetCritic(), optimizer=optax.adam(1e-4),
                          critic_optimizer=optax.adam(1e-4), degradation=Degradation())
    state = fit([Stage(trainer=trainer, …)], lambda: trainer.init(net.variables), run=run)

One step gives both networks one update, from the same upscaled images: first the losses of the network under
the critic as it was, then those of the critic, for which the upscaled images are constants.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import lax
from typing_extensions import override

from sesr_jax.data.degradation import Degradation, degrade, sharpen
from sesr_jax.data.feed import Batch
from sesr_jax.train.perceptual import Kernels, measure_distance
from sesr_jax.train.trainer import Metrics, Trainer, mean_over_devices


@struct.dataclass
class AdversarialState:
    """All that a step changes, so that one checkpoint holds both networks.

    Attributes:
      step: updates done.
      variables: the network's.
      ema: their average.
      opt_state: the network's optimiser's.
      critic: the critic's variables.
      critic_opt_state: the critic's optimiser's.
    """

    step: jax.Array
    variables: Any
    ema: Any
    opt_state: Any
    critic: Any
    critic_opt_state: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossWeights:
    """The weights of the network's losses; the defaults are Real-ESRGAN's.

    Attributes:
      pixel: of the mean absolute error.
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
    """Trains a network and a critic, each by its own optimiser.

    Attributes:
      module: the network, on RGB.
      critic: a module as `critics.UNetCritic`.
      optimizer: of the network.
      critic_optimizer: of the critic.
      weights: of the losses.
      vgg: the kernels for the perceptual loss; without them it is left out.
      degradation: how low resolutions are made; None where the feed gives them.
      sharpened: whether the network learns sharpened high resolutions; the critic sees them as they are.
      decay: of the averaged variables; 0 for no average.
    """

    module: nn.Module
    critic: nn.Module
    optimizer: optax.GradientTransformation
    critic_optimizer: optax.GradientTransformation
    weights: LossWeights = LossWeights()
    vgg: Kernels | None = None
    degradation: Degradation | None = None
    sharpened: bool = True
    decay: float = 0.999

    @override
    def init(self, variables: Any) -> AdversarialState:
        images = jnp.zeros((1, 16, 16, self.module.channels))
        critic = self.critic.init(jax.random.key(0), images)
        return jax.tree.map(
            jnp.copy,
            AdversarialState(
                step=jnp.zeros((), jnp.int32),
                variables=variables,
                ema=variables,
                opt_state=self.optimizer.init(variables),
                critic=critic,
                critic_opt_state=self.critic_optimizer.init(critic["params"]),
            ),
        )

    @override
    def get_phase(self, state: AdversarialState, done: int) -> None:
        return None

    @override
    def update(
        self, state: AdversarialState, batch: Batch, phase: None
    ) -> tuple[AdversarialState, Metrics]:
        batch = self.prepare(batch)
        network = jax.value_and_grad(self.measure_network, has_aux=True)
        (_, (sr, metrics)), grads = network(state.variables, state.critic, batch)
        critic = jax.value_and_grad(self.measure_critic, has_aux=True)
        rest = {name: part for name, part in state.critic.items() if name != "params"}
        (_, (rest, more)), critic_grads = critic(state.critic["params"], rest, sr, batch.hr)
        grads, critic_grads, rest, metrics = mean_over_devices(
            (grads, critic_grads, rest, {**metrics, **more})
        )
        updates, opt_state = self.optimizer.update(grads, state.opt_state, state.variables)
        variables = optax.apply_updates(state.variables, updates)
        params = state.critic["params"]
        updates, critic_opt_state = self.critic_optimizer.update(
            critic_grads, state.critic_opt_state, params
        )
        after = AdversarialState(
            step=state.step + 1,
            variables=variables,
            ema=optax.incremental_update(variables, state.ema, 1 - self.decay),
            opt_state=opt_state,
            critic={**rest, "params": optax.apply_updates(params, updates)},
            critic_opt_state=critic_opt_state,
        )
        return after, metrics

    def prepare(self, batch: Batch) -> Batch:
        """Returns the batch with low resolutions, which are degraded here where the feed has none."""
        if self.degradation is None:
            return batch
        make = functools.partial(degrade, scale=self.module.scale, options=self.degradation)
        return batch.replace(lr=jax.vmap(make)(batch.keys, batch.hr))  # type: ignore[attr-defined]

    def measure_network(
        self, variables: Any, critic: Any, batch: Batch
    ) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
        """Returns the network's loss under a fixed critic, the upscaled images, and all its parts."""
        critic = lax.stop_gradient(critic)
        sr: Any = self.module.apply(variables, batch.lr)
        target = jax.vmap(sharpen)(batch.hr) if self.sharpened else batch.hr
        weights, ratings = self.weights, self.critic.apply(critic, sr)
        parts = {
            "pixel": weights.pixel * jnp.mean(jnp.abs(sr - target)),
            "adversarial": weights.critic * jnp.mean(nn.softplus(-ratings[0])),
        }
        if self.vgg is not None:
            parts["perceptual"] = weights.perceptual * measure_distance(self.vgg, sr, target)
        if weights.maps:
            theirs = lax.stop_gradient(self.critic.apply(critic, target)[1])
            apart = [jnp.mean(jnp.abs(a - b)) for a, b in zip(ratings[1], theirs, strict=True)]
            parts["maps"] = weights.maps * sum(apart, jnp.zeros(()))
        loss = sum(parts.values(), jnp.zeros(()))
        return loss, (sr, {"loss": loss, **parts})

    def measure_critic(
        self, params: Any, rest: Any, sr: jax.Array, hr: jax.Array
    ) -> tuple[jax.Array, tuple[Any, Metrics]]:
        """Returns the critic's loss on constants, its variables beside the parameters, and its metrics."""
        sr = lax.stop_gradient(sr)
        run = functools.partial(self.critic.apply, follow=True, mutable=["batch_stats"])
        (real, _), rest = run({"params": params, **rest}, hr)
        (fake, _), rest = run({"params": params, **rest}, sr)
        loss = jnp.mean(nn.softplus(-real)) + jnp.mean(nn.softplus(fake))
        metrics = {"critic": loss, "rating_real": jnp.mean(real), "rating_fake": jnp.mean(fake)}
        return loss, (lax.stop_gradient(rest), metrics)

    @override
    def compute_losses(self, state: AdversarialState, batch: Batch, phase: None) -> Any:
        batch = self.prepare(batch)
        loss, (sr, _) = self.measure_network(state.variables, state.critic, batch)
        rest = {name: part for name, part in state.critic.items() if name != "params"}
        return loss, self.measure_critic(state.critic["params"], rest, sr, batch.hr)[0]

    @override
    def get_deployed(self, state: AdversarialState) -> Any:
        return state.ema
