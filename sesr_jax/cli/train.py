"""``sesr train``: one run of the training loop."""

import argparse
import pathlib
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from sesr_jax.errors import InputError

_EXAMPLE = """example:
  sesr train --config experiments/sesr_m5_x2.py --workdir runs/m5 --config.data.train=photos
  sesr train --config experiments/sesr_m5_x2.py:smoke --workdir runs/smoke     (seconds)

The same command again resumes the run. Any value of the config can be set: --config.optim.lr=1e-3."""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, trains, and prints where the weights are."""
    parser = argparse.ArgumentParser(
        prog="sesr train",
        description="Train a network, or resume its training.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", required=True, help="a config file, with :variant where it has any"
    )
    parser.add_argument("--workdir", required=True, type=pathlib.Path, help="the folder of the run")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    arguments, overrides = parser.parse_known_args(argv)
    config = read_config(arguments.config, overrides)

    from sesr_jax.train import WEIGHTS, train  # jax starts here, after the arguments are known good

    train(config, arguments.workdir, progress=not arguments.quiet)
    print(f"trained: {arguments.workdir / WEIGHTS}")


def read_config(path: str, overrides: Sequence[str] = ()):  # type: ignore[no-untyped-def]
    """The config of a file, with ``--config.key=value`` overrides.

    Raises:
      InputError: the file is missing or wrong, a key is unknown or a value has the wrong type.
    """
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values)
    if not pathlib.Path(path.split(":")[0]).is_file():
        raise InputError(
            f"no such config: {path.split(':')[0]}; name a file such as experiments/sesr_m5_x2.py."
        )
    try:
        values(["sesr train", f"--config={path}", *overrides])
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the config {path} with {list(overrides)} is not valid ({reason}): keys and types must be "
            "those of sesr_jax.train.base; correct the override."
        ) from error
    return values["config"].value
