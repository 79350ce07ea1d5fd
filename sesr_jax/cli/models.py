"""``sesr models``: the zoo."""

from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = "  sesr models --scale 4"


def run(argv: Sequence[str]) -> None:
    """Parses `argv` and prints a table."""
    parser = arguments.make_parser(
        "models",
        "List the zoo: parameters and MACs counted on the traced networks, figures as published.",
        _EXAMPLE,
    )
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), help="list this scale factor alone")
    args = parser.parse_args(argv)

    from sesr_jax.models import VARIANTS
    from sesr_jax.pretrained import list_shipped_files
    from sesr_jax.report import format_table

    files = list_shipped_files()
    rows = []
    for name, variant in VARIANTS.items():
        for scale in variant.scales:
            if args.scale not in (None, scale):
                continue
            costs = _count_cost(name, scale)
            figures = variant.published.get(scale, {})
            rows.append(
                [
                    name,
                    f"×{scale}",
                    f"{costs.weights:,}",
                    f"{costs.parameters:,}",
                    f"{costs.macs / 1e9:.3f} G",
                    *(
                        f"{figures[d][0]:.2f}" if d in figures else "–"
                        for d in ("Set5", "Set14", "B100")
                    ),
                    shipped_as if (shipped_as := f"{name}_x{scale}") in files else "",
                ]
            )
    header = [
        "model",
        "scale",
        "weights",
        "all parameters",
        "MACs",
        "Set5",
        "Set14",
        "B100",
        "shipped",
    ]
    print("MACs for a 1280×720 output; PSNR in dB on Y as the papers print it")
    print(format_table(rows, header))


def _count_cost(name: str, scale: int):  # type: ignore[no-untyped-def]
    """Returns the cost of a network for an output of `OUTPUT`, without computing a weight."""
    import jax

    from sesr_jax.graph import count_cost, eval_shapes
    from sesr_jax.models import network
    from sesr_jax.models.published import OUTPUT

    def count():  # type: ignore[no-untyped-def]
        fresh = network.init(name, scale=scale, key=jax.random.key(0))
        return count_cost(fresh.trace((1, *(n // scale for n in OUTPUT), fresh.channels)))

    return eval_shapes(count)
