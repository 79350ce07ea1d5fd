"""``sesr reparam``: what a network or a form costs while it trains, and after."""

from collections.abc import Sequence

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError

_EXAMPLE = """  sesr reparam sesr_m5
  sesr reparam sesr_m5 --form ecb
  sesr reparam --form dbb --features 16"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, counts, and prints a table."""
    parser = arguments.make_parser(
        "reparam",
        "Count the parameters and MACs of a network, or of one 3×3 convolution of a form, expanded and "
        "collapsed, and measure how far the outputs differ.",
        _EXAMPLE,
    )
    parser.add_argument(
        "model", nargs="?", help="a model of the zoo; without one, --form is shown alone"
    )
    parser.add_argument(
        "--scale", type=int, default=2, help="the scale factor of the model; default %(default)s"
    )
    parser.add_argument(
        "--form", help="the form of the model's convolutions, or the form that is shown alone"
    )
    parser.add_argument(
        "--features",
        type=int,
        default=16,
        help="the channels of a form that is shown alone; default %(default)s",
    )
    parser.add_argument(
        "--batch", type=int, default=32, help="the number of crops; default %(default)s"
    )
    parser.add_argument(
        "--crop", type=int, default=64, help="the side of a crop in pixels; default %(default)s"
    )
    args = parser.parse_args(argv)
    if args.model is None and args.form is None:
        raise InputError("there is nothing to count: name a model, a form by --form, or both.")
    for name in ("features", "batch", "crop"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} is {getattr(args, name)}: it must be 1 or more.")

    import jax
    from flax import linen as nn

    from sesr_jax.models import create
    from sesr_jax.reparam import LinearConv, find_form
    from sesr_jax.reparam.cost import Pass, count_training_cost, measure_output_difference
    from sesr_jax.report import format_table

    module: nn.Module
    options = {"form": find_form(args.form)} if args.form else {}
    if args.model is None:
        module, channels = LinearConv(args.features, options["form"](3)), args.features
        title = f"{args.form}, 3×3, {channels} channels"
    else:
        module = create(args.model, scale=args.scale, **options)
        channels = module.channels
        title = f"{args.model} ×{args.scale}" + (f" of {args.form}" if args.form else "")
    small = (1, args.crop, args.crop, channels)
    variables = jax.jit(module.init)(jax.random.key(0), jax.numpy.zeros((1, 8, 8, channels)))
    costs = count_training_cost(module, variables, (args.batch, *small[1:]))
    difference, largest = measure_output_difference(module, variables, small)

    def format_row(name: str, counts: Pass, macs: int) -> list[str]:
        sizes = f"{counts.weights:,}", f"{counts.parameters:,}"
        return [name, *sizes, f"{macs / 1e9:.3f} G", f"{costs.expanded.macs / macs:.2f}×"]

    collapsed = costs.collapsed
    rows = [
        format_row("expanded", costs.expanded, costs.expanded.macs),
        format_row("collapsed", collapsed, collapsed.macs),
        format_row("collapsed, with the collapse", collapsed, collapsed.macs + costs.collapse),
        format_row("… by SESR's Algorithm 1", collapsed, collapsed.macs + costs.delta_collapse),
    ]
    print(f"{title}: the forward pass of {args.batch} × {args.crop}×{args.crop} pixels")
    print(format_table(rows, ["", "weights", "all parameters", "MACs", "expanded / this"]))
    print(
        f"the collapse alone: {costs.collapse / 1e6:.2f} M MACs, "
        f"by Algorithm 1 {costs.delta_collapse / 1e6:.2f} M"
    )
    print(f"largest difference of the outputs: {difference:.1e}, where they reach {largest:.2f}")
