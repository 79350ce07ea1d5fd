"""Checkpoints: Orbax for the state, JSON beside it for what the state belongs to.

A run's folder holds ``config.json`` (the config, the package's version and the format), the Orbax steps
under ``checkpoints/``, and ``log.jsonl``. `load_network` gives the network of a run to every other verb.
"""

import json
import os
import pathlib
from typing import Any

import jax
import ml_collections
import orbax.checkpoint as ocp

from sesr_jax import __version__
from sesr_jax.errors import InputError
from sesr_jax.files import replacing
from sesr_jax.models import network
from sesr_jax.train.step import TrainState, init_state, optimizer

_FORMAT = 1
_CONFIG = "config.json"

# A longer run, or one that reports more often, is the same run.
_MAY_CHANGE = ("steps", "eval_every", "checkpoint_every", "keep")


def manager(run: str | os.PathLike[str], keep: int | None = None) -> ocp.CheckpointManager:
    """Orbax's manager of the run's steps; close it when done."""
    options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=True)
    return ocp.CheckpointManager(pathlib.Path(run).absolute() / "checkpoints", options=options)


def claim(run: str | os.PathLike[str], config: ml_collections.ConfigDict) -> None:
    """Writes the config to the run's folder, or checks that the run there is this one.

    Raises:
      InputError: the folder holds a run of another config.
    """
    path = pathlib.Path(run) / _CONFIG
    mine = json.loads(config.to_json())
    if path.exists():
        theirs = read_config(run).to_dict()
        differing = [
            f"{key} ({_at(theirs, key)!r} there, {_at(mine, key)!r} here)"
            for key in sorted(_keys(theirs) | _keys(mine))
            if _at(theirs, key) != _at(mine, key) and key not in _MAY_CHANGE
        ]
        if differing:
            raise InputError(
                f"{run} holds a run with other settings: {'; '.join(differing)}; "
                "choose another folder with --workdir, or the same settings."
            )
    with replacing(path) as temporary:
        content = {"format": _FORMAT, "version": __version__, "config": mine}
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")


def read_config(run: str | os.PathLike[str]) -> ml_collections.ConfigDict:
    """The config of a run.

    Raises:
      InputError: the folder holds none, or one of a later format.
    """
    path = pathlib.Path(run) / _CONFIG
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            f"{run} is not the folder of a run ({path.name}: {error}); name one that `sesr train` made."
        ) from error
    if content.get("format") != _FORMAT:
        raise InputError(
            f"{path} has format {content.get('format')} where this version reads {_FORMAT}; "
            f"use sesr_jax {content.get('version')}."
        )
    return ml_collections.ConfigDict(content["config"])


def restore(steps: ocp.CheckpointManager, state: TrainState) -> TrainState:
    """The latest state, or `state` itself where there is none.

    Raises:
      InputError: a checkpoint is damaged or belongs to another model.
    """
    step = steps.latest_step()
    if step is None:
        return state
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
    try:
        return steps.restore(step, args=ocp.args.StandardRestore(abstract))
    except Exception as error:  # Orbax and tensorstore raise many kinds for one damaged file
        reason = str(error).strip().splitlines()[0][:200]
        raise InputError(
            f"the checkpoint {steps.directory / str(step)} cannot be read ({reason}): it must be whole and "
            "of this model; delete that folder to go back to the checkpoint before it."
        ) from error


def load_network(run: str | os.PathLike[str]) -> network.Network:
    """The trained network of a run: the averaged parameters of its last checkpoint, expanded.

    Raises:
      InputError: the folder holds no run, or no checkpoint yet, or a damaged one.
    """
    config = read_config(run)
    model = dict(name=config.model.name, scale=config.model.scale, **config.model.options)
    fresh = network.init(key=jax.random.key(0), **model)
    with manager(run) as steps:
        if steps.latest_step() is None:
            raise InputError(f"{run} has no checkpoint yet; let `sesr train` reach its first one.")
        state = restore(steps, init_state(fresh.variables["params"], optimizer(config)))
    return network.Network(
        name=fresh.name,
        scale=fresh.scale,
        options=fresh.options,
        variables={"params": state.ema},
    )


def _keys(tree: dict[str, Any], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for key, value in tree.items():
        path = f"{prefix}{key}"
        keys |= _keys(value, f"{path}.") if isinstance(value, dict) else {path}
    return keys


def _at(tree: dict[str, Any], path: str) -> Any:
    value: Any = tree
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
