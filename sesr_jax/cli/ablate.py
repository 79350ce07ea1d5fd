"""``sesr ablate``: one network with several forms and seeds."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr ablate --config forms:cpu --workdir runs/forms
  sesr ablate --config forms:smoke --workdir runs/smoke     (takes a minute)

The same command resumes. --config.conditions="('dense','ecb+residual')" chooses among the forms."""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, trains what is not yet trained, and prints a table."""
    parser = arguments.make_parser(
        "ablate",
        "Train one network with several forms and seeds, all else equal, and compare them.",
        _EXAMPLE,
    )
    parser.add_argument("--config", required=True, help=arguments.CONFIG)
    parser.add_argument(
        "--workdir", required=True, type=pathlib.Path, help="the folder of the results"
    )
    args, overrides = parser.parse_known_args(argv)

    from sesr_jax.recipes import read_config
    from sesr_jax.report import format_table
    from sesr_jax.train.ablation import PAGE, ablate, make_table

    arguments.allow_large_images()
    config = read_config(args.config, overrides)
    results = ablate(config, args.workdir)
    print(format_table(*make_table(results)))
    print(f"page: {args.workdir / PAGE}")
