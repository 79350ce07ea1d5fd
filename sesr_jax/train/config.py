"""The schema of a training config: every key that a run reads, with its default.

    config = base()
    config.model.name = "sesr_m5"
    config.optim.lr = 5e-4

Experiments start from `base` and change what they need; ml-collections refuses unknown keys and wrong
types, on the command line too (``--config.optim.lr=1e-3``).
"""

import ml_collections

from sesr_jax.errors import InputError


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
            },
            "optim": {
                "name": "amsgrad",  # an optimiser of optax
                "lr": 5e-4,
                "options": ml_collections.ConfigDict(),  # its other arguments
                "schedule": "constant",  # or "cosine", to lr · final over the run
                "warmup": 0,  # steps from 0 to lr
                "final": 0.0,
                "clip": 0.0,  # the largest gradient norm; 0 for no limit
            },
            "loss": "l1",  # or "l2", "charbonnier"
            "ema": 0.0,  # decay of the averaged weights, which are then the ones used; 0 for none
            # Share of the steps in which batch norms, where a form has them, use the batch's statistics
            # and not their averages, frozen from then on (RepSR).
            "batch_statistics": 0.9,
            "dtype": "float32",  # of the activations; parameters stay float32
            "steps": 480_000,
            "steps_per_call": 100,  # compiled together; everything below is a multiple of it
            "eval_every": 4_800,
            "checkpoint_every": 4_800,
            "keep": 3,  # checkpoints
        }
    )


def variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
    """The variant `name` that every experiment offers beside its own recipe.

    "paper" is the recipe as it stands; "cosine" lets the rate fall to zero and averages the weights;
    "smoke" is a few steps of small crops: seconds on a CPU, for tests and first tries.

    Raises:
      InputError: there is no such variant.
    """
    if name == "cosine":
        config.optim.schedule = "cosine"
        config.ema = 0.999
    elif name == "smoke":
        config.data.update(train="embedded:train", eval="embedded:eval", patch=16, batch=4)
        config.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
    elif name != "paper":
        raise InputError(
            f"unknown variant {name!r}: it must be one of paper, cosine, smoke; "
            "write it behind the config's colon."
        )
    return config


_MULTIPLES = ("steps", "eval_every", "checkpoint_every")


def validate(config: ml_collections.ConfigDict) -> None:
    """Raises InputError where values do not fit together, before any work is done."""
    for key in ("seed",):
        if config[key] < 0:
            raise InputError(
                f"config.{key} is {config[key]}: it must not be negative; choose 0 or more."
            )
    for key in (*_MULTIPLES, "steps_per_call", "keep"):
        if config[key] < 1:
            raise InputError(
                f"config.{key} is {config[key]}: it must be positive; choose 1 or more."
            )
    for key in _MULTIPLES:
        if config[key] % config.steps_per_call:
            raise InputError(
                f"config.{key} is {config[key]}: it must be a multiple of config.steps_per_call = "
                f"{config.steps_per_call}; change one of the two."
            )
    for group, key, choices in (
        ("data", "small", ("error", "skip")),
        ("optim", "schedule", ("constant", "cosine")),
        (None, "loss", ("l1", "l2", "charbonnier")),
        (None, "dtype", ("float32", "bfloat16")),
    ):
        value = (config[group] if group else config)[key]
        if value not in choices:
            name = f"config.{group}.{key}" if group else f"config.{key}"
            raise InputError(
                f"{name} is {value!r}: it must be one of {', '.join(choices)}; choose one."
            )
    if not 0 <= config.batch_statistics <= 1:
        raise InputError(
            f"config.batch_statistics is {config.batch_statistics}: it is a share of the steps; "
            "choose a value from 0 to 1."
        )
    for key in ("patch", "batch"):
        if config.data[key] < 1:
            raise InputError(
                f"config.data.{key} is {config.data[key]}: it must be positive; choose 1 or more."
            )
