"""``sesr train``: one run of the training loop."""

import contextlib
import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr train --config sesr_m5_x2 --workdir runs/m5 --config.data.train=photos
  sesr train --config sesr_m5_x2:smoke --workdir runs/smoke     (seconds)

  sesr train … --coordinator 10.0.0.1:1234 --processes 4 --process 0    (1, 2, 3 on the other hosts)
  sesr train … --distributed    (TPU pods, Slurm, Open MPI: jax finds the others)

The same command again resumes the run. Any value of the config can be set: --config.optim.lr=1e-3."""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, trains, and prints where the weights are."""
    parser = arguments.make_parser("train", "Train a network, or resume its training.", _EXAMPLE)
    parser.add_argument("--config", required=True, help=arguments.CONFIG)
    parser.add_argument("--workdir", required=True, type=pathlib.Path, help="the folder of the run")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="train with the other processes of this cluster, which jax finds",
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="train with all processes that name this address: the first host and a free port of it",
    )
    parser.add_argument("--processes", type=int, metavar="N", help="the number of processes")
    parser.add_argument(
        "--process", type=int, metavar="I", help="the number of this process, from 0"
    )
    args, overrides = parser.parse_known_args(argv)

    # Imported here, so that help and bad arguments do not wait for jax.
    from sesr_jax.recipes import read_config
    from sesr_jax.train import WEIGHTS, processes, train

    arguments.allow_large_images()
    config = read_config(args.config, overrides)

    given = args.coordinator, args.processes, args.process
    together = args.distributed or any(value is not None for value in given)
    with processes.announce_death("sesr train") if together else contextlib.nullcontext():
        if together:
            processes.join(*given)
        train(config, args.workdir, progress=not args.quiet and processes.is_first())
    if processes.is_first():
        print(f"trained: {args.workdir / WEIGHTS}")
