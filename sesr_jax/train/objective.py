"""What a batch costs, and what it shows: the loss, batch norms' statistics, the ranges of tensors.

objective = make_objective(module, config)
loss, seen = objective(variables, lr, hr, phase)
variables = restored(updated, seen)
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
from sesr_jax.quant import RANGES
from sesr_jax.reparam import Statistics, statistics, with_statistics

# How far a batch norm's running averages move at each step: the default of the papers' frameworks.
_MOMENTUM = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """What a step does beside descending.

    Attributes:
      by_batch: batch norms use the batch's statistics, and their averages follow.
      moving: the ranges of quantised tensors follow what they hold, or are learned.
    """

    by_batch: bool
    moving: bool


@struct.dataclass
class Seen:
    """What must hold after the step, whatever the optimiser does.

    Attributes:
      statistics: of batch norms.
      ranges: by group, ``[2]``: those that the optimiser does not decide.
    """

    statistics: Statistics
    ranges: Any


Objective = Callable[[Any, jax.Array, jax.Array, Phase], tuple[jax.Array, Seen]]


def scheme(config: ml_collections.ConfigDict) -> quant.Scheme:
    """What the config quantises, once there are ranges."""
    return quant.Scheme(activations=config.quant.activations, exclude=tuple(config.quant.exclude))


def make_objective(module: nn.Module, config: ml_collections.ConfigDict) -> Objective:
    """The loss as a differentiable function of the variables and a batch in [0, 1].

    Batch norms run on their averages where tensors are quantised: their kernels are then those that will
    be deployed.
    """
    chosen, measure = scheme(config), quant.OBSERVERS[config.quant.observer].measure

    def quantised(variables: Any, x: jax.Array, follow: str) -> tuple[jax.Array, Any]:
        """The output, and the ranges that the optimiser does not decide."""
        found: dict[str, list[jax.Array]] = {}

        def watch(group: str, y: jax.Array) -> None:
            found.setdefault(group, []).append(measure(lax.stop_gradient(y)).astype(jnp.float32))

        ranges = variables[RANGES]
        held = (
            variables if follow == "learned" else {**variables, RANGES: lax.stop_gradient(ranges)}
        )
        sr = quant.apply(module, held, x, chosen, watch if follow else None)
        if follow == "learned":
            return sr, {group: value for group, value in ranges.items() if group not in found}
        new = {group: _union(values) for group, values in found.items()}
        old = {group: ranges[group] for group in new}
        return sr, ranges | optax.incremental_update(new, old, config.quant.momentum)

    def objective(
        variables: Any, lr: jax.Array, hr: jax.Array, phase: Phase
    ) -> tuple[jax.Array, Seen]:
        x, kept = lr.astype(config.dtype), statistics(variables["params"])
        sr: Any
        ranges: Any = {}
        if RANGES in variables:
            sr, ranges = quantised(variables, x, config.quant.ranges if phase.moving else "")
        elif phase.by_batch:
            sr, seen = module.apply(variables, x, mutable=["statistics"])
            kept = optax.incremental_update(statistics(seen["statistics"]), kept, _MOMENTUM)
        else:
            sr = module.apply(variables, x)
        loss = _LOSSES[config.loss](sr.astype(jnp.float32) - hr, config.epsilon)
        return loss, Seen(statistics=kept, ranges=ranges)

    return objective


def restored(variables: Any, seen: Seen) -> Any:
    """The variables after an optimiser's update, with what it must not decide put right.

    No optimiser moves statistics and observed ranges, not even by weight decay. Learned ranges hold 0.
    """
    kept = {**variables, "params": with_statistics(variables["params"], seen.statistics)}
    if RANGES in variables:
        kept[RANGES] = {g: _union([r]) for g, r in variables[RANGES].items()} | seen.ranges
    return kept


def _union(ranges: Sequence[jax.Array]) -> jax.Array:
    """The range that holds 0 and all of `ranges`."""
    lows, highs = jnp.stack(ranges).T
    return jnp.stack([jnp.minimum(lows.min(), 0), jnp.maximum(highs.max(), 0)])


_LOSSES: dict[str, Callable[[jax.Array, float], jax.Array]] = {
    "l1": lambda error, _: jnp.mean(jnp.abs(error)),
    "l2": lambda error, _: jnp.mean(error**2),
    "charbonnier": lambda error, epsilon: jnp.mean(jnp.sqrt(error**2 + epsilon**2)),
}
"""By name, from an error and `config.epsilon`."""
