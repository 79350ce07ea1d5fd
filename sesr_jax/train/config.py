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

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections

from sesr_jax.data.degradation import Degradation
from sesr_jax.errors import InputError
from sesr_jax.train.entries import ENTRIES, list_entry_settings


def base() -> ml_collections.ConfigDict:
    """Returns the defaults: SESR's published recipe, but for the length and the data."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            # A model of the zoo; `options` override its module's fields.
            "model": {"name": "sesr_m5", "scale": 2, "options": ml_collections.ConfigDict()},
            "init": "",  # expanded weights to start from, where their shapes fit: a file, or a run's folder
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
                # Low resolutions are made in each step, by blur, resizing, noise and JPEG, twice over.
                "degraded": False,
                "degradation": dataclasses.asdict(Degradation()),  # by Real-ESRGAN's names
                "sharpened": False,  # the network learns from sharpened high resolutions (Real-ESRGAN)
            },
            "optim": {
                "name": "keras_amsgrad",  # the rule of the papers; or any optimiser of optax
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
            "trainer": "supervised",  # or "adversarial", against a critic: `train.adversarial`
            "adversarial": {
                "features": 64,  # of the critic's first map
                "lr": 1e-4,  # of the critic, by the optimiser and the schedule of the network
                "vgg": "",  # torchvision's VGG19 for the loss "perceptual": a .pth or .safetensors file
                # Of the network's losses; "pixel" is config.loss, "maps" compares maps of the critic.
                "weights": {"pixel": 1.0, "perceptual": 1.0, "critic": 0.1, "maps": 0.0},
            },
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
            # Compiled together; the next two are multiples of it, and a stage's last call may be shorter.
            "steps_per_call": 100,
            "eval_every": 4_800,
            "checkpoint_every": 4_800,
            "keep": 3,  # checkpoints
        }
    )


def fill_in(
    defaults: ml_collections.ConfigDict, content: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """Returns a config as it was written, perhaps by an earlier version.

    What that version did not name had the value that is the default now.
    """
    with defaults.unlocked(), defaults.ignore_type():
        defaults.update(content)
    return defaults


def stage(entry: str = "none", **changes: Any) -> ml_collections.ConfigDict:
    """Returns one of ``config.stages``.

    Args:
      entry: what happens to the variables when the stage begins: "none", "collapse" (every term becomes
        the convolution that it equals, and that is trained), "grow_basis" (`reparam.grow_basis`), or
        "quantise" (tensors get ranges, measured on the training images; from then on the network trains
        and is evaluated through fake quantisation).
      **changes: the settings of the run that this stage changes, out of steps, trainer, adversarial, loss,
        epsilon, ema, optim, quant and data (all but data.eval); for "grow_basis" also `added` (default 1)
        and `preserve` (default True).
    """
    settings = list_entry_settings(entry) if entry in ENTRIES else {}
    return ml_collections.ConfigDict({"entry": entry, **settings, **changes})


_CHANGEABLE = (
    "steps",
    "trainer",
    "adversarial",
    "loss",
    "epsilon",
    "ema",
    "optim",
    "data",
    "quant",
)


def list_stage_settings(config: ml_collections.ConfigDict) -> tuple[ml_collections.ConfigDict, ...]:
    """Returns the settings of each stage: the run's, with the stage's changes; without stages, the run's.

    Raises:
      InputError: a stage changes what it cannot, or to another type.
    """
    stages = config.get("stages", ())  # which runs of earlier versions lack
    return tuple(
        _apply_changes(config, s, f"config.stages[{i}]") for i, s in enumerate(stages)
    ) or (config,)


def _apply_changes(
    config: ml_collections.ConfigDict, stage: ml_collections.ConfigDict, where: str
) -> ml_collections.ConfigDict:
    entry = stage.get("entry")
    if entry not in ENTRIES:
        raise InputError(f"{where}.entry is {entry!r}: it must be one of {', '.join(ENTRIES)}.")
    own = list_entry_settings(entry)
    changes = {key: stage[key] for key in stage if key not in ("entry", *own)}
    settings = ml_collections.ConfigDict(config.to_dict()).lock()
    settings.optim.options.unlock()
    for key in changes:
        if key not in _CHANGEABLE:
            raise InputError(
                f"{where}.{key} cannot be set with the entry {entry!r}: a stage changes "
                f"{', '.join((*own, *_CHANGEABLE))}."
            )
    if (
        isinstance(data := changes.get("data"), Mapping | ml_collections.ConfigDict)
        and "eval" in data
    ):
        raise InputError(
            f"{where}.data.eval cannot be set: all stages are measured on the same images, config.data.eval."
        )
    try:
        settings.update(changes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{where} does not suit the settings that it changes ({str(error).splitlines()[0]}): keys "
            "and types must be the same."
        ) from error
    return settings
