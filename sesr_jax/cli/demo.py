"""``sesr demo``: the whole way on photos that scikit-image ships."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = "  sesr demo --out runs/demo"


def run(argv: Sequence[str]) -> None:
    """Parses `argv` and runs the demo."""
    parser = arguments.make_parser(
        "demo",
        "Train SESR-M3 ×2 on a few photos, collapse it, export it to INT8, measure it and estimate its "
        "latency. The same command resumes.",
        _EXAMPLE,
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("runs/demo"),
        help="the folder of the results; default %(default)s",
    )
    parser.add_argument(
        "--steps", type=int, help="the number of training steps, a multiple of 50; default 4000"
    )
    args = parser.parse_args(argv)

    from sesr_jax import demo

    config = demo.make_config()
    if args.steps is not None:
        config.steps = args.steps
    demo.run(args.out, config)
