"""The optimiser and the learning rate that a config names."""

import ml_collections
import optax

from sesr_jax.errors import InputError


def schedule(config: ml_collections.ConfigDict) -> optax.Schedule:
    """The learning rate by step."""
    optim, steps = config.optim, config.steps
    after = {
        "constant": optax.constant_schedule(optim.lr),
        "cosine": optax.cosine_decay_schedule(optim.lr, max(1, steps - optim.warmup), optim.final),
    }[optim.schedule]
    if not optim.warmup:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(0.0, optim.lr, optim.warmup), after], [optim.warmup]
    )


def optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """The optimiser that the config names.

    Raises:
      InputError: optax has no such optimiser, or it does not take the options.
    """
    optim = config.optim
    make = getattr(optax, optim.name, None)
    if not callable(make):
        raise InputError(
            f"config.optim.name is {optim.name!r}: it must be an optimiser of optax, such as amsgrad or adam."
        )
    try:
        update = make(schedule(config), **optim.options)
    except TypeError as error:
        raise InputError(
            f"config.optim.options {dict(optim.options)} do not fit {optim.name}: {error}; "
            "remove the wrong one."
        ) from error
    return optax.chain(optax.clip_by_global_norm(optim.clip), update) if optim.clip else update
