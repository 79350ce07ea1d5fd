"""``sesr search``: networks found by evolution."""

import pathlib
import re
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr search --config esr_ea_x2:smoke     (a minute or two)
  sesr search --config sesr_search_x2:cpu --workdir runs/search --config.data.train=FOLDER
  sesr search --config sesr_search_x2 --config.search.target=ethos-u85-512 --config.search.max_milliseconds=20

The same command again goes on. The best networks are runs: sesr export --model WORKDIR/trained/KEY."""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, searches, and prints what was found."""
    parser = arguments.make_parser(
        "search",
        "Search a space of networks by evolution: each candidate is trained for a short time, and the best "
        "ones long.",
        _EXAMPLE,
    )
    parser.add_argument("--config", required=True, help=arguments.CONFIG)
    parser.add_argument(
        "--workdir",
        type=pathlib.Path,
        help="the folder of the search; default runs/ and the name of the config",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
    args, overrides = parser.parse_known_args(argv)

    from sesr_jax.recipes import read_config
    from sesr_jax.search import PAGE, search

    config = read_config(args.config, overrides)
    path, _, variant = args.config.partition(":")
    name = "_".join(filter(None, (pathlib.Path(path).stem, re.sub(r"\W", "_", variant))))
    folder = args.workdir or pathlib.Path("runs") / name
    found = search(config, folder, progress=not args.quiet)
    print(found.to_text())
    print(f"page: {folder / PAGE}")
