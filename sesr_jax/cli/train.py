"""``sesr train``: one run of the training loop."""

import contextlib
import dataclasses
import inspect
import pathlib
import re
import runpy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags
from ml_collections import config_flags

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError

if TYPE_CHECKING:
    import ml_collections

_EXAMPLE = """  sesr train --config experiments/sesr_m5_x2.py --workdir runs/m5 --config.data.train=photos
  sesr train --config experiments/sesr_m5_x2.py:smoke --workdir runs/smoke     (seconds)

  sesr train … --coordinator 10.0.0.1:1234 --processes 4 --process 0    (1, 2, 3 on the other hosts)
  sesr train … --distributed    (TPU pods, Slurm, Open MPI: jax finds the others)

The same command again resumes the run. Any value of the config can be set: --config.optim.lr=1e-3."""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, trains, and prints where the weights are."""
    parser = arguments.parser("train", "Train a network, or resume its training.", _EXAMPLE)
    parser.add_argument(
        "--config", required=True, help="a config file, with :variant where it has any"
    )
    parser.add_argument("--workdir", required=True, type=pathlib.Path, help="the folder of the run")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument(
        "--distributed", action="store_true", help="train with the other processes of this cluster"
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="train with the others that name it: the first process, at a free port",
    )
    parser.add_argument("--processes", type=int, metavar="N", help="how many there are")
    parser.add_argument("--process", type=int, metavar="I", help="which of them this is, from 0")
    args, overrides = parser.parse_known_args(argv)
    config = read_config(args.config, overrides)

    # jax starts here, after the arguments are known good
    from sesr_jax.train import WEIGHTS, processes, train

    given = args.coordinator, args.processes, args.process
    together = args.distributed or any(value is not None for value in given)
    with processes.last_words("sesr train") if together else contextlib.nullcontext():
        if together:
            processes.join(*given)
        train(config, args.workdir, progress=not args.quiet and processes.is_first())
    if processes.is_first():
        print(f"trained: {args.workdir / WEIGHTS}")


def read_config(spec: str, overrides: Sequence[str] = ()) -> "ml_collections.ConfigDict":
    """The config of ``FILE.py`` or ``FILE.py:VARIANT``, with ``--config.key=value`` overrides.

    Raises:
      InputError: the file is missing or wrong, a key is unknown or a value has the wrong type.
    """
    path, _, variant = spec.partition(":")
    if not pathlib.Path(path).is_file():
        raise InputError(f"no such config: {path}; name a file such as experiments/sesr_m5_x2.py.")
    try:
        config = runpy.run_path(path)["get_config"](*([variant] if variant else []))
        for override in overrides:
            _offer_option(config, override)
        values, command = flags.FlagValues(), ["sesr train", *overrides]
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=command)
        _, *unread = values(command)
    except InputError:
        raise
    except Exception as error:  # a config is any Python, and absl raises many kinds for overrides
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"the config {spec} with {list(overrides)} is not valid ({reason}): keys and types must be "
            "those of sesr_jax.train.base; correct the file or the override."
        ) from error
    if unread:
        raise InputError(
            f"{' '.join(unread)} is no option: values of the config are set by --config.key=value, such as "
            "--config.data.train=FOLDER; write it so, or leave it out."
        )
    return config


def _offer_option(config: "ml_collections.ConfigDict", override: str) -> None:
    """Lets `override` set an option of the model or the optimiser that the config does not name.

    Raises:
      InputError: there is no such option.
    """
    match = re.match(r"--config\.(model|optim)\.options\.(\w+)", override)
    if not match or match[2] in config[match[1]].options:
        return
    group, option = match[1], match[2]
    if group == "model":
        from sesr_jax.models import create

        made = create(config.model.name, scale=config.model.scale)
        defaults = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    else:
        import optax

        parameters = inspect.signature(getattr(optax, config.optim.name)).parameters
        defaults = {name: one.default for name, one in parameters.items()}
    if not isinstance(default := defaults.get(option), (bool, int, float, str)):
        raise InputError(
            f"{override}: {config[group].name} has no option {option!r} that a command line can set; see its "
            "definition, or leave it out."
        )
    with config.unlocked():
        config[group].options[option] = default
