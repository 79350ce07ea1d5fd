"""``sesr import``: another project's weights as a file of this one."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr import --from arm model_weights.index --model sesr_m5 --scale 2 --out m5.safetensors
  sesr import --from ecbsr model_x2_999.pt --model ecbsr_m4c16 --scale 2 --out ecbsr.safetensors"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, converts, and says what was written."""
    from sesr_jax.importers import SOURCES, import_weights

    parser = arguments.make_parser("import", "Convert another project's weights.", _EXAMPLE)
    parser.add_argument(
        "weights", help=".safetensors, .npz, a PyTorch state dict or a TensorFlow checkpoint"
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        choices=tuple(SOURCES),
        help="the project that wrote them",
    )
    parser.add_argument(
        "--model", required=True, help="the model of the zoo that they belong to, such as sesr_m5"
    )
    parser.add_argument("--scale", type=int, required=True, help="the scale factor")
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
    found = import_weights(
        args.source, args.weights, model=args.model, scale=args.scale, reading=args.reading
    )
    network.save(found, args.out, source=args.source)
    options = "".join(f", {name} {value}" for name, value in found.options.items())
    print(f"{args.weights} → {args.out}: {found.name} ×{found.scale}{options}")
