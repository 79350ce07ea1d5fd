"""``sesr train``: one run of the training loop."""

import pathlib
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

The same command again resumes the run. Any value of the config can be set: --config.optim.lr=1e-3."""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, trains, and prints where the weights are."""
    parser = arguments.parser("train", "Train a network, or resume its training.", _EXAMPLE)
    parser.add_argument(
        "--config", required=True, help="a config file, with :variant where it has any"
    )
    parser.add_argument("--workdir", required=True, type=pathlib.Path, help="the folder of the run")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args, overrides = parser.parse_known_args(argv)
    config = read_config(args.config, overrides)

    from sesr_jax.train import WEIGHTS, train  # jax starts here, after the arguments are known good

    train(config, args.workdir, progress=not args.quiet)
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
        values, command = flags.FlagValues(), ["sesr train", *overrides]
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=command)
        values(command)
    except InputError:
        raise
    except Exception as error:  # a config is any Python, and absl raises many kinds for overrides
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"the config {spec} with {list(overrides)} is not valid ({reason}): keys and types must be "
            "those of sesr_jax.train.base; correct the file or the override."
        ) from error
    return config
