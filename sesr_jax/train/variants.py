"""The variants that every recipe offers beside its own settings."""

from collections.abc import Callable

import ml_collections

from sesr_jax.errors import InputError
from sesr_jax.train.config import stage


def apply_variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
    """Changes the config of a recipe to its variant `name`, and returns it; "+" joins several variants.

    The order of the names does not matter: each variant is applied after those whose settings it changes.

    Whole recipes:

    - "paper" changes nothing.
    - "cpu" is "small", "adam" and "cosine": about an hour per stage without an accelerator.
    - "smoke" is a few steps of small crops, which take seconds on a CPU, for tests and first tries.

    Ingredients:

    - "small" takes small crops, at twice the learning rate where no critic is trained.
    - "adam" uses that optimiser.
    - "anneal" lets the learning rate fall to zero; "cosine" does so and also averages the weights.
    - "charbonnier" uses that loss.
    - "bf16" computes activations in bfloat16.
    - "maps" trains against a critic without a VGG19: maps of the critic stand in for it.
    - "distill" learns by half from a teacher, ``--config.distill.teacher=…``.
    - "finish" adds a stage on larger crops, with the squared error that PSNR measures.
    - "qat" continues from trained weights, ``--config.init=…``, and trains what their INT8 codes compute.

    Raises:
      InputError: there is no such variant.
    """
    parts = name.split("+")
    for part in parts:
        if part not in _VARIANTS:
            raise InputError(
                f"unknown variant {part!r}: it must be one of {', '.join(_VARIANTS)}, or several joined by +."
            )
    for part in _VARIANTS:  # each stands behind those whose settings it changes
        if part in parts:
            _VARIANTS[part](config)
    return config


def _anneal_learning_rate(config: ml_collections.ConfigDict) -> None:
    config.optim.schedule = "cosine"


def _anneal_and_average(config: ml_collections.ConfigDict) -> None:
    _anneal_learning_rate(config)
    config.ema = 0.999


def _take_small_crops(config: ml_collections.ConfigDict) -> None:
    # A step has an eighth of the pixels, since on two cores the number of steps is the bottleneck.
    if config.trainer == "supervised":  # two networks keep their balance
        config.optim.lr = 1e-3
    config.data.update(patch=32, batch=16, small="skip")
    config.update(steps=40_000, steps_per_call=250, eval_every=2_500, checkpoint_every=2_500)
    _drop_stage_lengths(config)


def _use_adam(config: ml_collections.ConfigDict) -> None:
    # It forgets the large gradients of the first steps, which shorten all of AMSGrad's.
    config.optim.name = "adam"


def _suit_cpu(config: ml_collections.ConfigDict) -> None:
    _use_adam(config)
    _anneal_and_average(config)
    _take_small_crops(config)


def _use_charbonnier(config: ml_collections.ConfigDict) -> None:
    config.loss = "charbonnier"


def _use_bf16(config: ml_collections.ConfigDict) -> None:
    config.dtype = "bfloat16"


def _add_finish(config: ml_collections.ConfigDict) -> None:
    last = stage(
        steps=max(1, config.steps // 8 // config.steps_per_call) * config.steps_per_call,
        loss="l2",
        optim={"lr": config.optim.lr / 20, "schedule": "cosine"},
        data={"patch": 2 * config.data.patch},
    )
    config.stages = (*(config.stages or (stage(),)), last)


def _compare_maps(config: ml_collections.ConfigDict) -> None:
    config.adversarial.weights.update(perceptual=0.0, maps=1.0)


def _use_teacher(config: ml_collections.ConfigDict) -> None:
    config.distill.weight = 0.5


def _quantise(config: ml_collections.ConfigDict) -> None:
    # A recipe that has a quantised stage of its own begins with that stage.
    entries = [s.entry for s in config.stages]
    if "quantise" in entries:
        config.stages = config.stages[entries.index("quantise") :]
        return
    # The weights are nearly trained, so that a tenth of the learning rate is enough.
    config.optim.update(schedule="cosine", lr=config.optim.lr / 10)
    config.steps = 48_000
    config.stages = (*config.stages, stage("quantise"))


def _shorten(config: ml_collections.ConfigDict) -> None:
    config.data.update(train="embedded:train", eval="embedded:eval", patch=16, batch=4)
    config.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
    config.adversarial.features = 4
    if not config.adversarial.vgg:
        _compare_maps(config)
    _drop_stage_lengths(config)


def _drop_stage_lengths(config: ml_collections.ConfigDict) -> None:
    # Stages without settings of their own take those of the run.
    for changes in config.stages:
        for key in {"steps", "data"} & set(changes):
            del changes[key]


_VARIANTS: dict[str, Callable[[ml_collections.ConfigDict], None]] = {
    "paper": lambda config: None,
    "cpu": _suit_cpu,
    "small": _take_small_crops,
    "adam": _use_adam,
    "anneal": _anneal_learning_rate,
    "cosine": _anneal_and_average,
    "charbonnier": _use_charbonnier,
    "bf16": _use_bf16,
    "maps": _compare_maps,
    "distill": _use_teacher,
    "finish": _add_finish,
    "qat": _quantise,
    "smoke": _shorten,
}
