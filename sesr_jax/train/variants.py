"""The variants that every recipe offers beside its own settings, and how they are joined."""

from collections.abc import Callable

import ml_collections

from sesr_jax.errors import InputError
from sesr_jax.train.config import stage


def variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
    """The variant `name` that every experiment offers beside its own recipe; several are joined by "+".

    Their order is none of the user's: they work in that of the table, in which each finds what it changes.

    Whole recipes: "paper" as it stands; "cpu", that is "small", "adam" and "cosine", in an hour or so a stage
    without an accelerator; "smoke", a few steps of small crops: seconds on a CPU, for tests and first tries.

    Ingredients: "small" takes small crops at twice the rate; "adam" is that optimiser; "anneal" lets the rate
    fall to zero, "cosine" averages the weights beside; "charbonnier" is that loss; "bf16" the activations'
    type; "distill" learns by half from a teacher, ``--config.distill.teacher=…``; "finish" ends on larger
    crops, by the squared error that PSNR is made of; "qat" goes on from trained weights, ``--config.init=…``,
    and trains what their INT8 codes compute.

    Raises:
      InputError: there is no such variant.
    """
    parts = name.split("+")
    for part in parts:
        if part not in _VARIANTS:
            raise InputError(
                f"unknown variant {part!r}: it must be one of {', '.join(_VARIANTS)}; "
                "write it behind the config's colon, or several joined by +."
            )
    for part in _VARIANTS:  # in the table's order, in which each finds what it changes
        if part in parts:
            _VARIANTS[part](config)
    return config


def _anneal(config: ml_collections.ConfigDict) -> None:
    config.optim.schedule = "cosine"


def _cosine(config: ml_collections.ConfigDict) -> None:
    _anneal(config)
    config.ema = 0.999


def _small(config: ml_collections.ConfigDict) -> None:
    # An eighth of the pixels a step, so that steps are many: on two cores they are what is scarce.
    config.optim.lr = 1e-3
    config.data.update(patch=32, batch=16, small="skip")
    config.update(steps=40_000, steps_per_call=250, eval_every=2_500, checkpoint_every=2_500)
    _stages_follow(config)


def _adam(config: ml_collections.ConfigDict) -> None:
    # AMSGrad never forgets the large gradients of the first steps, and hardly moves once the rate falls.
    config.optim.name = "adam"


def _cpu(config: ml_collections.ConfigDict) -> None:
    _adam(config)
    _cosine(config)
    _small(config)


def _charbonnier(config: ml_collections.ConfigDict) -> None:
    config.loss = "charbonnier"


def _bf16(config: ml_collections.ConfigDict) -> None:
    config.dtype = "bfloat16"


def _finish(config: ml_collections.ConfigDict) -> None:
    last = stage(
        steps=max(1, config.steps // 8 // config.steps_per_call) * config.steps_per_call,
        loss="l2",
        optim={"lr": config.optim.lr / 20, "schedule": "cosine"},
        data={"patch": 2 * config.data.patch},
    )
    config.stages = (*(config.stages or (stage(),)), last)


def _distill(config: ml_collections.ConfigDict) -> None:
    config.distill.weight = 0.5


def _qat(config: ml_collections.ConfigDict) -> None:
    # A recipe that ends so by itself goes on with that part.
    entries = [s.entry for s in config.stages]
    if "quantise" in entries:
        config.stages = config.stages[entries.index("quantise") :]
        return
    # A tenth of the rate: the codes follow weights that are nearly where they shall be.
    config.optim.update(schedule="cosine", lr=config.optim.lr / 10)
    config.steps = 48_000
    config.stages = (*config.stages, stage("quantise"))


def _smoke(config: ml_collections.ConfigDict) -> None:
    config.data.update(train="embedded:train", eval="embedded:eval", patch=16, batch=4)
    config.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
    _stages_follow(config)


def _stages_follow(config: ml_collections.ConfigDict) -> None:
    # Where a stage says nothing, it does as the run does.
    for changes in config.stages:
        for key in {"steps", "data"} & set(changes):
            del changes[key]


_VARIANTS: dict[str, Callable[[ml_collections.ConfigDict], None]] = {
    "paper": lambda config: None,
    "cpu": _cpu,
    "small": _small,
    "adam": _adam,
    "anneal": _anneal,
    "cosine": _cosine,
    "charbonnier": _charbonnier,
    "bf16": _bf16,
    "distill": _distill,
    "finish": _finish,
    "qat": _qat,
    "smoke": _smoke,
}
