"""``sesr import``: another project's weights as a file of this one."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr import --from arm model_weights.index --model sesr_m5 --scale 2 --out m5.safetensors
  sesr import --from ecbsr model_x2_999.pt --model ecbsr_m4c16 --scale 2 --out ecbsr.safetensors
  sesr import --from rfdn RFDN_AIM.pth --out rfdn.safetensors"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, converts, and says what was written."""
    from sesr_jax.importers import LAYOUTS, SOURCES, import_weights, recognise_network

    parser = arguments.make_parser("import", "Convert another project's weights.", _EXAMPLE)
    parser.add_argument(
        "weights", help=".safetensors, .npz, a PyTorch state dict or a TensorFlow checkpoint"
    )
    parser.add_argument(
        "--from",
        dest="source",
        choices=(*SOURCES, *LAYOUTS),
        help=f"the project that wrote them; {', '.join(LAYOUTS)} are recognised without it",
    )
    parser.add_argument(
        "--model",
        help=f"the model of the zoo that they belong to, such as sesr_m5; {', '.join(SOURCES)} need it",
    )
    parser.add_argument(
        "--scale",
        type=int,
        help=f"the scale factor; {', '.join(SOURCES)} need it, and PAN where the file's name has none",
    )
    parser.add_argument(
        "--out", required=True, type=pathlib.Path, help="the .safetensors file to write"
    )
    parser.add_argument(
        "--reading",
        choices=("exact", "released"),
        default="exact",
        help="how biases inside Arm's linear blocks are read: exact adds them once, released adds them to "
        "every tap of the collapsed kernel, as Arm's released code does; default %(default)s",
    )
    args = parser.parse_args(argv)

    from sesr_jax.errors import InputError
    from sesr_jax.models import network

    if args.out.suffix != ".safetensors":
        raise InputError(f"{args.out} must end in .safetensors; give it this suffix.")
    if args.source in SOURCES:
        if args.model is None or args.scale is None:
            raise InputError(
                f"the weights of {args.source} show neither model nor scale factor: --model and --scale must."
            )
        found = import_weights(
            args.source, args.weights, model=args.model, scale=args.scale, reading=args.reading
        )
    else:
        if args.reading != "exact":
            raise InputError(f"--reading {args.reading} is for Arm's weights alone; leave it out.")
        found = recognise_network(
            args.weights, source=args.source, model=args.model, scale=args.scale
        )
    network.save(found, args.out, source=args.source or "recognised")
    options = "".join(f", {name} {value}" for name, value in found.options.items())
    print(f"{args.weights} → {args.out}: {found.name} ×{found.scale}{options}")
