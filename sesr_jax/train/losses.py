"""The losses that a config names: from an upscaled image and its batch to a scalar and named metrics."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections

from sesr_jax.data.feed import Batch
from sesr_jax.train.trainer import Loss, Metrics

LOSSES: dict[str, Callable[[jax.Array, float], jax.Array]] = {
    "l1": lambda error, _: jnp.mean(jnp.abs(error)),
    "l2": lambda error, _: jnp.mean(error**2),
    "charbonnier": lambda error, epsilon: jnp.mean(jnp.sqrt(error**2 + epsilon**2)),
}
"""By name, from an error and `config.epsilon`."""


def make_loss(config: ml_collections.ConfigDict) -> Loss:
    """Returns the loss ``config.loss``: a mean over pixels of a function of their errors."""
    measure, epsilon = LOSSES[config.loss], config.epsilon

    def loss(sr: jax.Array, batch: Batch) -> tuple[jax.Array, Metrics]:
        return measure(sr - batch.hr, epsilon), {}

    return loss
