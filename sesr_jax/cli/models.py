"""``sesr models``: the zoo."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr models --scale 4
  sesr models rfdn_aim2020 pan --counts
  sesr models --scale 2 --html zoo.html"""

_SETS = ("Set5", "Set14", "B100")


def run(argv: Sequence[str]) -> None:
    """Parses `argv` and prints a table."""
    parser = arguments.make_parser(
        "models",
        "List the zoo: parameters and MACs counted on the traced networks, figures as published.",
        _EXAMPLE,
    )
    parser.add_argument("model", nargs="*", help="list these models alone")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), help="list this scale factor alone")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--html",
        type=pathlib.Path,
        help="also write this page: published PSNR against MACs that are counted on the networks",
    )
    shown.add_argument(
        "--counts",
        action="store_true",
        help="print what the challenges on efficient super-resolution count (AIM 2020): parameters, FLOPs, "
        "activations and convolutions for an input of 256×256",
    )
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from sesr_jax.errors import look_up
    from sesr_jax.files import check_writable
    from sesr_jax.models import VARIANTS
    from sesr_jax.models.published import OUTPUT
    from sesr_jax.pretrained import list_shipped_files
    from sesr_jax.report import format_table, write_page

    for name in args.model:
        look_up("model", name, VARIANTS)
    wanted = [
        (name, scale)
        for name, variant in VARIANTS.items()
        for scale in variant.scales
        if args.scale in (None, scale) and name in (args.model or VARIANTS)
    ]
    if args.html:
        check_writable(args.html)
    rows, files, macs = [], list_shipped_files(), {}
    for name, scale in tqdm(wanted, desc="counting", leave=False, disable=None):
        row = [name, f"×{scale}"]
        if args.counts:
            costs = _count_cost(name, scale, (256, 256))
            rows.append([*row, *arguments.format_counts(costs).values()])
            continue
        costs = _count_cost(name, scale, tuple(n // scale for n in OUTPUT))
        macs[name, scale] = costs.macs
        figures = VARIANTS[name].published.get(scale, {})
        row += [f"{costs.weights:,}", f"{costs.parameters:,}", f"{costs.macs / 1e9:.3f} G"]
        row += [f"{figures[d][0]:.2f}" if d in figures else "–" for d in _SETS]
        shipped = f"{name}_x{scale}"
        rows.append([*row, shipped if shipped in files else ""])
    if args.counts:
        header = ["model", "scale", *arguments.COUNTS]
        print(arguments.COUNTS_TITLE)
    else:
        header = ["model", "scale", "weights", "all parameters", "MACs", *_SETS, "shipped"]
        print("MACs for a 1280×720 output; PSNR in dB on Y as the papers print it")
    print(format_table(rows, header))
    if args.html:
        from sesr_jax.compare import make_zoo_page

        write_page(make_zoo_page(macs), args.html)
        print(f"page: {args.html}")


def _count_cost(name: str, scale: int, size: tuple[int, ...]):  # type: ignore[no-untyped-def]
    """Returns the cost of a network for an input of `size`, without computing a weight."""
    import jax

    from sesr_jax.graph import count_cost, eval_shapes
    from sesr_jax.models import network

    def count():  # type: ignore[no-untyped-def]
        fresh = network.init(name, scale=scale, key=jax.random.key(0))
        return count_cost(fresh.trace((1, *size, fresh.channels)))

    return eval_shapes(count)
