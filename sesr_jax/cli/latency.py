"""``sesr latency``: what a network costs on an NPU."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr latency sesr_m5_hw --scale 2 --size 1920x1080
  sesr latency model_int8.tflite --target ethos-n78-8tops --saving 0.5"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, estimates, and prints the report."""
    parser = arguments.parser(
        "latency", "Estimate time and DRAM traffic on an NPU, layer by layer.", _EXAMPLE
    )
    parser.add_argument(
        "model", help="a model of the zoo (weights do not matter), or any INT8 .tflite file"
    )
    parser.add_argument(
        "--scale", type=int, default=2, help="of a model of the zoo; default %(default)s"
    )
    parser.add_argument(
        "--size",
        type=arguments.size,
        default=(1080, 1920),
        help="input of a model of the zoo; 1920x1080",
    )
    parser.add_argument("--target", default="ethos-n78-4tops", help="default %(default)s")
    parser.add_argument(
        "--saving", type=float, default=0.0, help="share that activation compression saves"
    )
    parser.add_argument("--csv", type=pathlib.Path, help="also write the table there")
    args = parser.parse_args(argv)

    import jax

    from sesr_jax.files import replacing
    from sesr_jax.models import network
    from sesr_jax.npu import estimate, find_target, layers_from_graph, layers_from_tflite

    target = find_target(args.target)
    if args.model.endswith(".tflite"):
        layers = layers_from_tflite(args.model)
    else:
        fresh = network.init(args.model, scale=args.scale, key=jax.random.key(0))
        layers = layers_from_graph(fresh.graph((1, *args.size, fresh.channels)))
    report = estimate(layers, target, activation_saving=args.saving)
    print(report.to_text(), end="")
    if args.csv:
        with replacing(args.csv) as temporary:
            temporary.write_text(report.to_csv(), encoding="utf-8")
