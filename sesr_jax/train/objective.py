"""The objective of one network: a batch's loss, and what the network saw while it was computed.

    objective = make_objective(module, config)
    loss, seen = objective(variables, batch, phase)
    variables = keep_seen(updated, seen)

A trainer whose loss needs more than a batch runs the network alone, by `make_forward`.

What is seen are batch norms' statistics, the ranges of quantised tensors, and the loss's further metrics.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import linen as nn
from flax import struct
from jax import lax

from sesr_jax import quant
from sesr_jax.data.feed import Batch
from sesr_jax.quant import RANGES
from sesr_jax.reparam import Statistics, find_statistics, with_statistics
from sesr_jax.train.losses import make_loss
from sesr_jax.train.trainer import Loss

_MOMENTUM = 0.1
"""How far a batch norm's running averages move at each step: the default of the papers' frameworks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """What a step does beside descending.

    Attributes:
      by_batch: batch norms use the batch's statistics, and their averages follow.
      moving: the ranges of quantised tensors follow what they hold, or are learned.
    """

    by_batch: bool
    moving: bool


def decide_phase(variables: Any, done: int, by_batch: float, moving: float) -> Phase:
    """Returns the phase after `done` steps of a stage; for `get_phase` of a trainer.

    Args:
      variables: the network's.
      done: steps of the stage.
      by_batch: how many steps batch norms, where there are any, use the batch's statistics.
      moving: how many steps the ranges of quantised tensors, where there are any, move.
    """
    has_norms = bool(find_statistics(variables["params"]))
    return Phase(
        by_batch=done < by_batch and has_norms, moving=done < moving and RANGES in variables
    )


@struct.dataclass
class Seen:
    """What must hold after the step, whatever the optimiser does.

    Attributes:
      statistics: of batch norms.
      ranges: by group, ``[2]``: those that the optimiser does not decide.
      metrics: of the loss, by name.
    """

    statistics: Statistics
    ranges: Any
    metrics: Any


Forward = Callable[[Any, jax.Array, Phase], tuple[jax.Array, Seen]]
"""From variables and low resolutions to what the network makes of them, in float32, and what was seen."""

Objective = Callable[[Any, Batch, Phase], tuple[jax.Array, Seen]]
"""From variables and a batch to the loss, and what was seen."""


def get_scheme(config: ml_collections.ConfigDict) -> quant.Scheme:
    """Returns what the config quantises, once there are ranges."""
    return quant.Scheme(activations=config.quant.activations, exclude=tuple(config.quant.exclude))


def make_forward(module: nn.Module, config: ml_collections.ConfigDict) -> Forward:
    """Returns how the network runs in training, on low resolutions in [0, 1].

    Batch norms run on their averages where tensors are quantised: their kernels are then those that will
    be deployed.

    Args:
      module: the network.
      config: as `train.config.base`.
    """
    scheme, measure = get_scheme(config), quant.OBSERVERS[config.quant.observer].measure

    def apply_quantised(variables: Any, x: jax.Array, follow: str) -> tuple[jax.Array, Any]:
        """Returns the output, and the ranges that the optimiser does not decide."""
        found: dict[str, list[jax.Array]] = {}

        def watch(group: str, y: jax.Array) -> None:
            found.setdefault(group, []).append(measure(lax.stop_gradient(y)).astype(jnp.float32))

        ranges = variables[RANGES]
        if follow != "learned":
            variables = {**variables, RANGES: lax.stop_gradient(ranges)}
        sr = quant.apply(module, variables, x, scheme, watch if follow else None)
        if follow == "learned":
            return sr, {group: value for group, value in ranges.items() if group not in found}
        new = {group: _union(values) for group, values in found.items()}
        old = {group: ranges[group] for group in new}
        return sr, ranges | optax.incremental_update(new, old, config.quant.momentum)

    def forward(variables: Any, lr: jax.Array, phase: Phase) -> tuple[jax.Array, Seen]:
        x, kept = lr.astype(config.dtype), find_statistics(variables["params"])
        sr: Any
        ranges: Any = {}
        if RANGES in variables:
            sr, ranges = apply_quantised(variables, x, config.quant.ranges if phase.moving else "")
        elif phase.by_batch:
            sr, seen = module.apply(variables, x, mutable=["statistics"])
            kept = optax.incremental_update(find_statistics(seen["statistics"]), kept, _MOMENTUM)
        else:
            sr = module.apply(variables, x)
        return sr.astype(jnp.float32), Seen(statistics=kept, ranges=ranges, metrics={})

    return forward


def make_objective(
    module: nn.Module, config: ml_collections.ConfigDict, loss: Loss | None = None
) -> Objective:
    """Returns the loss as a differentiable function of the variables and a batch in [0, 1].

    Args:
      module: the network.
      config: as `train.config.base`.
      loss: of upscaled images; that of the config where none is given.
    """
    forward, measure_loss = make_forward(module, config), loss or make_loss(config)

    def objective(variables: Any, batch: Batch, phase: Phase) -> tuple[jax.Array, Seen]:
        sr, seen = forward(variables, batch.lr, phase)
        value, metrics = measure_loss(sr, batch)
        return value, dataclasses.replace(seen, metrics=metrics)

    return objective


def keep_seen(variables: Any, seen: Seen) -> Any:
    """Puts what was seen into the variables after an optimiser's update, which must not decide it.

    No optimiser moves statistics and observed ranges, not even by weight decay. Learned ranges hold 0.
    """
    kept = {**variables, "params": with_statistics(variables["params"], seen.statistics)}
    if RANGES in variables:
        kept[RANGES] = {g: _union([r]) for g, r in variables[RANGES].items()} | seen.ranges
    return kept


def _union(ranges: Sequence[jax.Array]) -> jax.Array:
    """Returns the range that holds 0 and all of `ranges`."""
    lows, highs = jnp.stack(ranges).T
    return jnp.stack([jnp.minimum(lows.min(), 0), jnp.maximum(highs.max(), 0)])
