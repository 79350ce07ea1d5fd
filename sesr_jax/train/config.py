"""The schema of a training config: every key that a run reads, with its default.

    config = base()
    config.model.name = "sesr_m5"
    config.optim.lr = 5e-4

Experiments start from `base` and change what they need; ml-collections refuses unknown keys and wrong
types, on the command line too (``--config.optim.lr=1e-3``).

A run of several stages lists them; each says what changes with it, and the command line reaches what it
says (``--config.stages[1].optim.lr=1e-5``):

    config.stages = (
        train.stage(),
        train.stage("collapse", steps=80_000, loss="l2", optim={"lr": 1e-5}, data={"patch": 128}),
    )
"""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from sesr_jax.errors import InputError
from sesr_jax.quant import OBSERVERS
from sesr_jax.train.optim import SCHEDULES


def base() -> ml_collections.ConfigDict:
    """The defaults: SESR's published recipe, but for the length and the data."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            # A model of the zoo; `options` override its module's fields.
            "model": {"name": "sesr_m5", "scale": 2, "options": ml_collections.ConfigDict()},
            "init": "",  # expanded weights to start from, where their shapes fit
            "data": {
                "train": "embedded:train",  # a folder, or the photos that scikit-image ships
                "eval": "embedded:eval",
                "patch": 64,  # the side of an LR crop
                "batch": 32,  # over all devices
                "small": "error",  # about images smaller than a crop: "error" or "skip"
                "intensities": (1.0,),  # each crop, LR and HR, is times one of them, drawn evenly
                # Equal parts of a batch are drawn from as many shards of the images; with several,
                # each process of a run holds its own alone.
                "shards": 1,
                # Images that take more are not kept on the device, but read from their files.
                "device_bytes": 4 * 2**30,
            },
            "optim": {
                "name": "amsgrad",  # an optimiser of optax
                "lr": 5e-4,
                "options": ml_collections.ConfigDict(),  # its other arguments
                # Or, to lr · final over the run, "cosine" or "linear" (triangular, behind a warm-up);
                # "cyclic", a cosine anew every `period` steps; "halving", by a half after each.
                "schedule": "constant",
                "warmup": 0,  # steps from lr · start to lr
                "start": 0.0,
                "final": 0.0,
                "period": 0,  # steps; of "cyclic" and "halving"
                "clip": 0.0,  # the largest gradient norm; 0 for no limit
            },
            "loss": "l1",  # or "l2", "charbonnier"
            "epsilon": 1e-3,  # of "charbonnier"
            # The target is (1 - weight) · HR + weight · the teacher's image: `train.distill`.
            "distill": {
                "teacher": "",  # a trained network's .safetensors file, of this scale and these channels
                "weight": 0.0,  # 0 for no teacher
                "ensemble": True,  # the teacher's mean over the eight symmetries of the square
            },
            "ema": 0.0,  # decay of the averaged weights, which are then the ones used; 0 for none
            # Share of the steps in which batch norms, where a form has them, use the batch's statistics
            # and not their averages, frozen from then on (RepSR).
            "batch_statistics": 0.9,
            "dtype": "float32",  # of the activations; parameters stay float32
            # Holds from a stage with the entry "quantise" on; before it, all is float.
            "quant": {
                "activations": "int8",  # or "int16"; "float" for weights alone
                "exclude": (),  # patterns of node names that stay float, such as "tail/*"
                "observer": "min_max",  # what ranges start from and follow; or "percentile", "mse"
                "ranges": "ema",  # of the observer's measures; or "learned", by gradients (LSQ+)
                "momentum": 0.01,  # of that average
                "moving": 0.8,  # share of a stage's steps in which ranges move; then they are frozen
            },
            "stages": (),  # made by `stage`; without any, the run is one
            "steps": 480_000,  # of a stage that does not say otherwise
            "steps_per_call": 100,  # compiled together; everything below is a multiple of it
            "eval_every": 4_800,
            "checkpoint_every": 4_800,
            "keep": 3,  # checkpoints
        }
    )


def completed(
    defaults: ml_collections.ConfigDict, content: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """A config as it was written, by an earlier version perhaps.

    What that did not name had the value that is the default now.
    """
    with defaults.unlocked(), defaults.ignore_type():
        defaults.update(content)
    return defaults


def stage(entry: str = "none", **changes: Any) -> ml_collections.ConfigDict:
    """One of ``config.stages``.

    Args:
      entry: what happens to the variables when the stage begins: "none", "collapse" (every term becomes
        the convolution that it equals, and that is trained), "grow_basis" (`reparam.grow_basis`), or
        "quantise" (tensors get ranges, measured on the training images; from then on the network trains
        and is evaluated through fake quantisation).
      **changes: the settings of the run that this stage changes, out of steps, loss, epsilon, ema, optim,
        quant and data (all but data.eval); for "grow_basis" also `added` (default 1) and `preserve`
        (default True).
    """
    grown = {"added": 1, "preserve": True} if entry == "grow_basis" else {}
    return ml_collections.ConfigDict({"entry": entry, **grown, **changes})


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


ENTRIES: dict[str, tuple[str, ...]] = {
    "none": (),
    "collapse": (),
    "grow_basis": ("added", "preserve"),
    "quantise": (),
}
"""What may happen when a stage begins, and the keys that say how."""

_STAGED = ("steps", "loss", "epsilon", "ema", "optim", "data", "quant")


def staged(config: ml_collections.ConfigDict) -> tuple[ml_collections.ConfigDict, ...]:
    """The settings of each stage: the run's, with the stage's changes; without stages, the run's alone.

    Raises:
      InputError: a stage changes what it cannot, or to another type.
    """
    stages = config.get("stages", ())  # which runs of earlier versions lack
    return tuple(_changed(config, s, f"config.stages[{i}]") for i, s in enumerate(stages)) or (
        config,
    )


def _changed(
    config: ml_collections.ConfigDict, stage: ml_collections.ConfigDict, where: str
) -> ml_collections.ConfigDict:
    entry = stage.get("entry")
    if entry not in ENTRIES:
        raise InputError(
            f"{where}.entry is {entry!r}: it must be one of {', '.join(ENTRIES)}; choose one."
        )
    changes = {key: stage[key] for key in stage if key not in ("entry", *ENTRIES[entry])}
    settings = ml_collections.ConfigDict(config.to_dict()).lock()
    settings.optim.options.unlock()
    for key in changes:
        if key not in _STAGED:
            raise InputError(
                f"{where}.{key} cannot be set with the entry {entry!r}: a stage changes "
                f"{', '.join((*ENTRIES[entry], *_STAGED))}; set it for the run, or remove it."
            )
    if "eval" in changes.get("data", ()):
        raise InputError(
            f"{where}.data.eval cannot be set: all stages are measured on the same pictures; set "
            "config.data.eval."
        )
    try:
        settings.update(changes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{where} does not suit the settings that it changes ({str(error).splitlines()[0]}): keys "
            "and types must be theirs; correct it."
        ) from error
    return settings


_MULTIPLES = ("steps", "eval_every", "checkpoint_every")


def validate(config: ml_collections.ConfigDict) -> None:
    """Raises InputError where values do not fit together, before any work is done."""
    _validate(config, "config")
    if config.seed >= 2**32:
        raise InputError(
            f"config.seed is {config.seed}: random keys begin again at 2³²; choose one below it."
        )
    try:
        config.to_json()
    except TypeError as error:
        raise InputError(
            f"the config holds what no file can ({error}): name forms and options by text, as in "
            'config.model.options.form = "ecb"; correct it.'
        ) from error
    if bool(config.distill.weight) != bool(config.distill.teacher):
        raise InputError(
            f"config.distill has the weight {config.distill.weight} and the teacher "
            f"{config.distill.teacher!r}: one needs the other; set both, or neither."
        )
    if config.stages and config.stages[0].entry == "quantise" and not config.init:
        raise InputError(
            "config.init is empty where the first stage quantises: random weights have no ranges worth "
            "learning; give --config.init=RUN/expanded.safetensors, or put a stage of floats before it."
        )
    for i, settings in enumerate(staged(config)):
        _validate(settings, f"config.stages[{i}]")


def _validate(config: ml_collections.ConfigDict, where: str) -> None:
    optim = config.optim
    for name, value in (
        ("seed", config.seed),
        ("epsilon", config.epsilon),
        ("optim.lr", optim.lr),
        ("optim.clip", optim.clip),
        ("optim.warmup", optim.warmup),
    ):
        if value < 0:
            raise InputError(
                f"{where}.{name} is {value}: it must not be negative; choose 0 or more."
            )
    if not 0 <= config.ema < 1:
        raise InputError(
            f"{where}.ema is {config.ema}: it is what the average keeps at a step; choose a value from 0 to "
            "less than 1, 0 for none."
        )
    for key in (*_MULTIPLES, "steps_per_call", "keep"):
        if config[key] < 1:
            raise InputError(
                f"{where}.{key} is {config[key]}: it must be positive; choose 1 or more."
            )
    for key in _MULTIPLES:
        if config[key] % config.steps_per_call:
            raise InputError(
                f"{where}.{key} is {config[key]}: it must be a multiple of config.steps_per_call = "
                f"{config.steps_per_call}; change one of the two."
            )
    for group, key, choices in (
        ("data", "small", ("error", "skip")),
        ("optim", "schedule", tuple(SCHEDULES)),
        (None, "loss", ("l1", "l2", "charbonnier")),
        (None, "dtype", ("float32", "bfloat16")),
        ("quant", "activations", ("int8", "int16", "float")),
        ("quant", "observer", tuple(OBSERVERS)),
        ("quant", "ranges", ("ema", "learned")),
    ):
        value = (config[group] if group else config)[key]
        if value not in choices:
            name = f"{where}.{group}.{key}" if group else f"{where}.{key}"
            raise InputError(
                f"{name} is {value!r}: it must be one of {', '.join(choices)}; choose one."
            )
    if config.optim.schedule in ("cyclic", "halving") and config.optim.period < 1:
        raise InputError(
            f"{where}.optim.period is {config.optim.period}: the schedule {config.optim.schedule} needs "
            "steps; choose 1 or more."
        )
    for name, share in (
        ("batch_statistics", config.batch_statistics),
        ("quant.moving", config.quant.moving),
        ("quant.momentum", config.quant.momentum),
        ("distill.weight", config.distill.weight),
    ):
        if not 0 <= share <= 1:
            raise InputError(
                f"{where}.{name} is {share}: it is a share; choose a value from 0 to 1."
            )
    for key in ("patch", "batch", "shards"):
        if config.data[key] < 1:
            raise InputError(
                f"{where}.data.{key} is {config.data[key]}: it must be positive; choose 1 or more."
            )
    factors = tuple(config.data.intensities)
    if not factors or not all(0 < factor <= 1 for factor in factors):
        raise InputError(
            f"{where}.data.intensities is {factors}: crops are times one of them; give one or more, each "
            "above 0 and at most 1."
        )
    if config.data.batch % config.data.shards:
        raise InputError(
            f"{where}.data.batch is {config.data.batch}: it must be a multiple of data.shards = "
            f"{config.data.shards}; change one of the two."
        )
