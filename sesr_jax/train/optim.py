"""The optimiser and the learning rate that a config names."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import optax

from sesr_jax.errors import InputError
from sesr_jax.train.amsgrad import keras_amsgrad


def make_schedule(config: ml_collections.ConfigDict) -> optax.Schedule:
    """Returns the learning rate by step."""
    optim = config.optim
    after = SCHEDULES[optim.schedule](optim, max(1, config.steps - optim.warmup))
    if not optim.warmup:
        return after
    before = optax.linear_schedule(optim.lr * optim.start, optim.lr, optim.warmup)
    return optax.join_schedules([before, after], [optim.warmup])


def _cyclic(optim: ml_collections.ConfigDict, steps: int) -> optax.Schedule:
    cycle = optax.cosine_decay_schedule(optim.lr, optim.period, optim.final)
    return lambda step: cycle(step % optim.period)


SCHEDULES: dict[str, Callable[[ml_collections.ConfigDict, int], optax.Schedule]] = {
    "constant": lambda optim, steps: optax.constant_schedule(optim.lr),
    "cosine": lambda optim, steps: optax.cosine_decay_schedule(optim.lr, steps, optim.final),
    "linear": lambda optim, steps: optax.linear_schedule(optim.lr, optim.lr * optim.final, steps),
    "cyclic": _cyclic,
    "halving": lambda optim, steps: optax.exponential_decay(
        optim.lr, optim.period, 0.5, staircase=True
    ),
}
"""By name, what makes the rate behind the warm-up from ``config.optim`` and the steps that are left."""


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "keras_amsgrad": keras_amsgrad,
}
"""The optimisers that optax lacks, by the name that a config gives; every other name is one of optax."""


def find_optimizer(name: str) -> Callable[..., optax.GradientTransformation]:
    """Returns what makes the optimiser of that name from a learning rate and its options.

    Raises:
      InputError: there is no such optimiser.
    """
    make = OPTIMIZERS.get(name) or getattr(optax, name, None)
    if not callable(make):
        raise InputError(
            f"config.optim.name is {name!r}: it must be keras_amsgrad, or an optimiser of optax such as adam."
        )
    return make


def make_optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """Returns the optimiser that the config names.

    Raises:
      InputError: there is no such optimiser, or it does not take the options.
    """
    optim = config.optim
    make = find_optimizer(optim.name)
    try:
        update = make(make_schedule(config), **optim.options)
    except TypeError as error:
        raise InputError(
            f"config.optim.options {dict(optim.options)} do not fit {optim.name}: {error}; "
            "remove the wrong one."
        ) from error
    chosen = optax.chain(optax.clip_by_global_norm(optim.clip), update) if optim.clip else update
    some = {"kernel": jnp.ones(2)}
    try:
        jax.eval_shape(lambda: chosen.update(some, chosen.init(some), some))
    except Exception as error:  # optax has more than optimisers, and options of any type
        raise InputError(
            f"config.optim.name {optim.name!r} with the options {dict(optim.options)} does no step from a "
            f"gradient alone ({str(error).splitlines()[0]}); choose an optimiser such as keras_amsgrad or "
            "adam."
        ) from error
    return chosen
