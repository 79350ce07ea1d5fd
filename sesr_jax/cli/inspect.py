"""``sesr inspect``: what a TFLite or ONNX file is and which NPUs run it, or what a network is and costs."""

from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr inspect m5_int8.tflite
  sesr inspect m5.onnx
  sesr inspect somebody_elses.tflite
  sesr inspect RFDN_AIM.pth"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv` and prints facts, operators and what each target makes of them."""
    parser = arguments.make_parser(
        "inspect",
        "Print the facts of a TFLite or ONNX file, its operators with their scales, and what the known NPUs "
        "refuse of a TFLite file; or a network's model, sizes, counts by the rules of AIM 2020, and reach.",
        _EXAMPLE,
    )
    parser.add_argument(
        "file",
        help="any .tflite or .onnx file; or a shipped model, a run's folder, a .safetensors file or official "
        "weights (.pth)",
    )
    args = parser.parse_args(argv)
    if not args.file.endswith((".tflite", ".onnx")):
        _print_network(args.file)
        return

    from sesr_jax.export.describe import COLUMNS, describe
    from sesr_jax.export.describe_onnx import describe_onnx
    from sesr_jax.npu import list_refusals
    from sesr_jax.report import format_table
    from sesr_jax.targets import find_target, list_targets

    is_onnx = args.file.endswith(".onnx")
    description = (describe_onnx if is_onnx else describe)(args.file)
    for name, fact in description.facts.items():
        print(f"{name}: {fact}")
    print(f"\n{format_table(description.rows, COLUMNS, '<<<<>>')}")
    if is_onnx:
        return
    print()
    for name in list_targets():
        reasons = list_refusals(args.file, find_target(name))
        print(f"{name}: {'refuses ' + '; '.join(reasons) if reasons else 'runs all of it'}")


def _print_network(model: str) -> None:
    """Prints what a trained network is, what it costs, and how far it looks."""
    from sesr_jax.graph import count_cost, measure_extent
    from sesr_jax.models import VARIANTS
    from sesr_jax.pretrained import find_network

    network = find_network(model).collapse()
    graph = network.trace((1, 256, 256, network.channels))
    extent = measure_extent(graph)
    print(f"network: {network.title}")
    print(f"paper: {VARIANTS[network.name].paper}")
    print(f"channels: {network.channels}")
    print(f"reach: {'the whole image' if extent.halo is None else f'{extent.halo} pixels'}")
    print(f"\n{arguments.COUNTS_TITLE}")
    for name, count in arguments.format_counts(count_cost(graph)).items():
        print(f"{name}: {count}")
