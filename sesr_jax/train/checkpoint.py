"""The folder of a run: its config, its checkpoints, and the network that they hold.

The folder holds ``config.json`` (the config, the hardware, the package's version, the format, and the
SHA-256 of the files that it learns from: a teacher, a VGG19), the Orbax steps under ``checkpoints/``, and
``log.jsonl``. All commands read the network of a run by `load_network`.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from sesr_jax import __version__
from sesr_jax.errors import InputError, MissingError
from sesr_jax.files import find_not_finite, write_file
from sesr_jax.graph import SAMPLE_SIDE
from sesr_jax.models import create, network
from sesr_jax.schema import build
from sesr_jax.train.config import base, fill_in
from sesr_jax.train.fingerprints import fingerprint
from sesr_jax.train.hardware import describe_hardware
from sesr_jax.train.objective import get_scheme
from sesr_jax.train.saving import name_arrays, open_manager, restore
from sesr_jax.train.stages import eval_state_shapes, find_stage, plan
from sesr_jax.train.trainers import make_trainer
from sesr_jax.train.validation import check_types
from sesr_jax.untrusted import parse_json, read_text, refuse_damaged

_FORMAT = 1
_CONFIG = "config.json"
_SEPARATOR = ", then "

# These settings, and the length of the last stage, may change when a run resumes.
_MAY_CHANGE = ("eval_every", "checkpoint_every", "keep", "data.device_bytes")


def claim(run: str | os.PathLike[str], config: ml_collections.ConfigDict) -> None:
    """Writes the config to the run's folder; if it holds a run, checks that `config` may resume it.

    Raises:
      InputError: the folder holds a run with another config, teacher or VGG19, or a longer run.
    """
    path = pathlib.Path(run) / _CONFIG
    content, learned = json.loads(config.to_json()), fingerprint(config)
    saved = (pathlib.Path(run) / "checkpoints").glob("[0-9]*")
    done = max((int(step.name) for step in saved if step.name.isdecimal()), default=None)
    if path.exists() and done is not None:  # without a step, it is a run that failed to start
        mine, theirs = _flatten(content), _flatten(read_config(run).to_dict())
        stages = config.stages
        own = bool(stages) and (len(stages) > 1 or "steps" in stages[-1])
        length = f"stages[{len(stages) - 1}].steps" if own else "steps"
        differing = [
            f"{key} ({theirs.get(key)!r} there, {mine.get(key)!r} here)"
            for key in sorted(theirs.keys() | mine.keys())
            if theirs.get(key) != mine.get(key) and key not in (*_MAY_CHANGE, length)
        ]
        if differing:
            raise InputError(
                f"{run} holds a run with other settings: {'; '.join(differing)}. A run resumes with the same "
                "settings; others need another --workdir."
            )
        notes = _read_notes(run)
        for key, (file, checksum) in learned.items():
            if checksum != getattr(notes, key):
                raise InputError(
                    f"{file} is not the file that {run} began to learn from: a run has one {key}, and "
                    "another one needs another --workdir."
                )
        if (end := plan(config)[-1].end) < done:
            raise InputError(
                f"{run} has done {done} steps, and {end} are asked for: a run may become longer, not shorter."
            )
    before = get_hardware(run) if path.exists() else None
    whole = {"format": _FORMAT, "version": __version__, "hardware": before}
    checksums = {key: checksum for key, (_, checksum) in learned.items()}
    _write_json(path, {**whole, **checksums, "config": content})


def note_hardware(run: str | os.PathLike[str]) -> None:
    """Records the hardware that a run takes steps on; other hardware is added as in "A, then B"."""
    path = pathlib.Path(run) / _CONFIG
    content, now = dataclasses.asdict(_read_notes(run)), describe_hardware()
    before = content["hardware"]
    if not before or before.split(_SEPARATOR)[-1] != now:
        _write_json(path, {**content, "hardware": f"{before}{_SEPARATOR}{now}" if before else now})


def _write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    write_file(path, json.dumps(content, indent=2))


def read_config(run: str | os.PathLike[str]) -> ml_collections.ConfigDict:
    """Returns the config of a run.

    Raises:
      InputError: the folder holds none, or one of a later format.
    """
    path = pathlib.Path(run) / _CONFIG
    try:
        content = _read_notes(run)
    except MissingError as error:
        raise InputError(
            f"{run} is not the folder of a run, which `sesr train` makes ({error})"
        ) from error
    if content.format != _FORMAT:
        raise InputError(
            f"{path} has the format {content.format}: this version reads {_FORMAT}, and sesr_jax "
            f"{content.version} reads that run."
        )
    with refuse_damaged(f"{path} holds no config of a training"):
        config = fill_in(base(), content.config)
    check_types(config, f"{path}: config")
    return config


@dataclasses.dataclass(frozen=True)
class _Notes:
    """The content of a run's config.json."""

    format: int
    config: Mapping[str, Any]
    version: str = ""
    hardware: str | None = None
    teacher: str | None = None
    vgg: str | None = None


def _read_notes(run: str | os.PathLike[str]) -> _Notes:
    path = pathlib.Path(run) / _CONFIG
    notes: _Notes = build(_Notes, parse_json(read_text(path), str(path)), str(path))
    return dataclasses.replace(notes, config=dict(notes.config))


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Returns whether `folder` is the folder of a run."""
    return (pathlib.Path(folder) / _CONFIG).is_file()


def get_hardware(run: str | os.PathLike[str]) -> str | None:
    """Returns the hardware of a run; None before `note_hardware` has recorded it."""
    return _read_notes(run).hardware


def load_network(run: str | os.PathLike[str]) -> network.Network:
    """Returns the trained network of a run: the averaged parameters of its last checkpoint, as trained.

    Raises:
      InputError: the folder holds no run, or no checkpoint yet, or a damaged one.
    """
    config = read_config(run)
    with refuse_damaged(f"{run} holds no run that can be read"):
        model, options = config.model, config.model.options.to_dict()
        module = create(model.name, scale=model.scale, **options)
        images = (1, SAMPLE_SIDE, SAMPLE_SIDE, module.channels)
        variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(images))
        stages = plan(config)
        with open_manager(run) as steps:
            step = steps.latest_step()
            if step is None:
                raise InputError(
                    f"{run} has no checkpoint yet: `sesr train` must reach its first one."
                )
            stage = find_stage(stages, step)
            trainers = [make_trainer(module, each.config, files=False) for each in stages]
            shapes = eval_state_shapes(module, stages, trainers, variables)[stage.index]
            deployed = trainers[stage.index].get_deployed(restore(steps, shapes))
        if wrong := find_not_finite(name_arrays(deployed)):
            raise InputError(
                f"the checkpoint of step {step} in {run} holds weights that are not finite ({wrong}): all "
                "must be finite."
            )
        return network.Network(
            name=model.name,
            scale=model.scale,
            variables=deployed,
            options=options,
            scheme=get_scheme(stage.config),
        )


def _flatten(tree: Any, path: str = "") -> dict[str, Any]:
    """Returns the values of nested dicts and lists by their paths, as in "optim.lr" and "stages[1].steps"."""
    if isinstance(tree, dict):
        inner = {f"{path}.{key}" if path else key: value for key, value in tree.items()}
    elif isinstance(tree, list | tuple):
        inner = {f"{path}[{i}]": value for i, value in enumerate(tree)}
    else:
        return {path: tree}
    return {
        name: leaf for key, value in inner.items() for name, leaf in _flatten(value, key).items()
    }
