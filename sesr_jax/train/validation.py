"""Validation of a config, before any work is done."""

from collections.abc import Mapping
from typing import Any

import ml_collections

from sesr_jax.data.degradation import Degradation
from sesr_jax.errors import InputError, look_up
from sesr_jax.quant import OBSERVERS
from sesr_jax.schema import build, show
from sesr_jax.train.config import base, list_stage_settings
from sesr_jax.train.entries import ENTRIES
from sesr_jax.train.losses import LOSSES
from sesr_jax.train.optim import SCHEDULES
from sesr_jax.train.trainers import TRAINERS

_MULTIPLES = ("eval_every", "checkpoint_every")


def validate(config: ml_collections.ConfigDict) -> None:
    """Checks that the values of `config` and of its stages are valid and fit together.

    Raises:
      InputError: a value is not valid, or two values do not fit together.
    """
    check_types(config)
    _validate_settings(config, "config")
    if config.seed >= 2**32:
        raise InputError(
            f"config.seed is {config.seed}: it must be below 2³², where random keys repeat."
        )
    try:
        config.to_json()
    except TypeError as error:
        raise InputError(
            f"a value of the config cannot be stored in a file ({error}): forms and options must be given by "
            'name, as in config.model.options.form = "ecb".'
        ) from error
    if bool(config.distill.weight) != bool(config.distill.teacher):
        raise InputError(
            f"config.distill has the weight {config.distill.weight} and the teacher "
            f"{config.distill.teacher!r}: either both must be set, or neither."
        )
    if config.stages and config.stages[0]["entry"] == "quantise" and not config.init:
        raise InputError(
            "config.init is empty where the first stage quantises: it must name trained weights, as in "
            "--config.init=RUN/expanded.safetensors, since random weights have no useful ranges."
        )
    for i, settings in enumerate(list_stage_settings(config)):
        check_types(settings, f"config.stages[{i}]")
        _validate_settings(settings, f"config.stages[{i}]")


def check_types(config: ml_collections.ConfigDict, where: str = "config") -> None:
    """Checks that a config has every key of `train.config.base`, with a value of the same type.

    Raises:
      InputError: it has not; `where` is what messages call the config.
    """
    _check_types(base(), config, where)
    for i, stage in enumerate(config.stages):
        place = f"{where}.stages[{i}]"
        told = stage.to_dict() if isinstance(stage, ml_collections.ConfigDict) else stage
        entry = build(Mapping[str, Any], told, place).get("entry")
        build(look_up(f"entry of {place}", entry, ENTRIES), told, place)


_TUPLES = {"exclude": tuple[str, ...], "stages": tuple[Any, ...]}
"""The types of the lists in a config that are not of numbers, by their key."""


def _check_types(defaults: ml_collections.ConfigDict, found: Any, where: str) -> None:
    if not isinstance(found, ml_collections.ConfigDict):
        raise InputError(f"{where} is {show(found)}; it must be a table.")
    for key, default in defaults.items():
        name = f"{where}.{key}"
        if key not in found:
            raise InputError(f"{name} is missing.")
        if key == "options":
            build(ml_collections.ConfigDict, found[key], name)
        elif isinstance(default, ml_collections.ConfigDict):
            _check_types(default, found[key], name)
        else:
            numbers = tuple[float, ...] if isinstance(default, tuple) else type(default)
            build(_TUPLES.get(key, numbers), found[key], name)


def make_degradation(
    config: ml_collections.ConfigDict, where: str = "config"
) -> Degradation | None:
    """Returns how low resolutions are made by ``config.data.degradation``; None where they are given.

    Raises:
      InputError: an option is not valid; `where` is what messages call the config.
    """
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list | tuple) else value
        for name, value in config.data.degradation.items()
    }
    try:
        degradation = Degradation(**options)
    except InputError as error:
        raise InputError(f"{where}.data.degradation.{error}") from error
    return degradation if config.data.degraded else None


def _validate_settings(config: ml_collections.ConfigDict, where: str) -> None:
    optim = config.optim
    for name, value in (
        ("seed", config.seed),
        ("epsilon", config.epsilon),
        ("optim.lr", optim.lr),
        ("optim.clip", optim.clip),
        ("optim.warmup", optim.warmup),
    ):
        if value < 0:
            raise InputError(f"{where}.{name} is {value}: it must not be negative.")
    if not 0 <= config.ema < 1:
        raise InputError(
            f"{where}.ema is {config.ema}: the decay must be from 0 (no average) to less than 1."
        )
    for key in ("steps", *_MULTIPLES, "steps_per_call", "keep"):
        if config[key] < 1:
            raise InputError(f"{where}.{key} is {config[key]}: it must be positive.")
    for key in _MULTIPLES:
        if config[key] % config.steps_per_call:
            raise InputError(
                f"{where}.{key} is {config[key]}: it must be a multiple of config.steps_per_call = "
                f"{config.steps_per_call}."
            )
    for group, key, choices in (
        ("data", "small", ("error", "skip")),
        ("optim", "schedule", tuple(SCHEDULES)),
        (None, "loss", tuple(LOSSES)),
        (None, "trainer", tuple(TRAINERS)),
        (None, "dtype", ("float32", "bfloat16")),
        ("quant", "activations", ("int8", "int16", "float")),
        ("quant", "observer", tuple(OBSERVERS)),
        ("quant", "ranges", ("ema", "learned")),
    ):
        value = (config[group] if group else config)[key]
        if value not in choices:
            name = f"{where}.{group}.{key}" if group else f"{where}.{key}"
            raise InputError(f"{name} is {value!r}: it must be one of {', '.join(choices)}.")
    if config.optim.schedule in ("cyclic", "halving") and config.optim.period < 1:
        raise InputError(
            f"{where}.optim.period is {config.optim.period}: the schedule {config.optim.schedule} needs "
            "1 step or more."
        )
    for name, share in (
        ("batch_statistics", config.batch_statistics),
        ("quant.moving", config.quant.moving),
        ("quant.momentum", config.quant.momentum),
        ("distill.weight", config.distill.weight),
    ):
        if not 0 <= share <= 1:
            raise InputError(f"{where}.{name} is {share}: it must be a share from 0 to 1.")
    for key in ("patch", "batch", "shards"):
        if config.data[key] < 1:
            raise InputError(f"{where}.data.{key} is {config.data[key]}: it must be positive.")
    factors = tuple(config.data.intensities)
    if not factors or not all(0 < factor <= 1 for factor in factors):
        raise InputError(
            f"{where}.data.intensities is {factors}: there must be one or more factors, each above 0 and at "
            "most 1."
        )
    make_degradation(config, where)
    if config.data.batch % config.data.shards:
        raise InputError(
            f"{where}.data.batch is {config.data.batch}: it must be a multiple of data.shards = "
            f"{config.data.shards}."
        )
