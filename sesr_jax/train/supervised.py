"""The trainer of one network by pairs of low and high resolutions: one optimiser, one loss.

    trainer = make_supervised(net.module, config)
    state = trainer.init(net.variables)

A network with batch norms starts on its batches' own statistics and ends on their frozen averages; one with
quantised tensors starts on ranges that follow what they hold and ends on frozen ones. Each device measures
these on its share of a batch, and their mean over the devices counts.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import ml_collections
import optax
from flax import linen as nn
from typing_extensions import override

from sesr_jax.data.feed import Batch
from sesr_jax.train.cpu import Gradient, make_gradient
from sesr_jax.train.distill import Target, make_target
from sesr_jax.train.objective import Objective, Phase, decide_phase, make_objective
from sesr_jax.train.optim import make_optimizer
from sesr_jax.train.state import TrainState, count_on, descend, init_state
from sesr_jax.train.trainer import Carry, Loss, Metrics, Trainer, mean_over_devices


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Supervised(Trainer[TrainState]):
    """Trains one network; `make_supervised` makes it from a config.

    Attributes:
      objective: the loss of the variables on a batch.
      gradient: its gradient.
      target: what is to be learned from a batch, the high resolution or a teacher's image.
      optimizer: updates the variables.
      decay: of the averaged variables; 0 for no average.
      by_batch: how many steps batch norms use the batch's statistics.
      moving: how many steps the ranges of quantised tensors move.
    """

    objective: Objective
    gradient: Gradient
    target: Target
    optimizer: optax.GradientTransformation
    decay: float = 0.0
    by_batch: float = 0
    moving: float = 0

    @override
    def init(self, variables: Any) -> TrainState:
        return init_state(variables, self.optimizer)

    @override
    def go_on(self, before: Any, variables: Any, carry: Carry) -> TrainState:
        return count_on(self.init(variables), before, carry)

    @override
    def get_phase(self, state: TrainState, done: int) -> Phase:
        return decide_phase(state.variables, done, self.by_batch, self.moving)

    @override
    def update(self, state: TrainState, batch: Batch, phase: Phase) -> tuple[TrainState, Metrics]:
        found = self.gradient(state.variables, self._with_target(batch), phase)
        (loss, seen), grads = mean_over_devices(found)
        after = descend(state, grads, seen, self.optimizer, self.decay)
        return after, {"loss": loss, **seen.metrics}

    @override
    def compute_losses(self, state: TrainState, batch: Batch, phase: Phase) -> Any:
        return self.objective(state.variables, self._with_target(batch), phase)

    @override
    def get_deployed(self, state: TrainState) -> Any:
        return state.ema

    def _with_target(self, batch: Batch) -> Batch:
        return batch.replace(hr=self.target(batch.lr, batch.hr))  # type: ignore[attr-defined]


def make_supervised(
    module: nn.Module,
    config: ml_collections.ConfigDict,
    loss: Loss | None = None,
    *,
    files: bool = True,
) -> Supervised:
    """Returns the trainer that a config describes.

    Args:
      module: the network.
      config: as `train.config.base`; the settings of one stage.
      loss: in the place of ``config.loss``.
      files: whether the teacher is read; without, the trainer makes states and does not update them.

    Raises:
      InputError: as `distill.make_target` and `optim.make_optimizer`.
    """
    objective = make_objective(module, config, loss)
    return Supervised(
        objective=objective,
        gradient=make_gradient(objective, module, jnp.dtype(config.dtype)),
        target=make_target(config, module.channels, files=files),
        optimizer=make_optimizer(config),
        decay=config.ema,
        by_batch=config.batch_statistics * config.steps,
        moving=config.quant.moving * config.steps,
    )
