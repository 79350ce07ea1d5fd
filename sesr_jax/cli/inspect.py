"""``sesr inspect``: what a TFLite file is, and which NPUs run it."""

from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr inspect m5_int8.tflite
  sesr inspect somebody_elses.tflite"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv` and prints facts, operators and what each target makes of them."""
    parser = arguments.make_parser(
        "inspect",
        "Print a TFLite file's facts, its operators with their scales, and what the known NPUs refuse.",
        _EXAMPLE,
    )
    parser.add_argument("file", help="any .tflite file")
    args = parser.parse_args(argv)

    from sesr_jax.export.describe import COLUMNS, describe
    from sesr_jax.npu import list_refusals
    from sesr_jax.report import format_table
    from sesr_jax.targets import find_target, list_targets

    description = describe(args.file)
    for name, fact in description.facts.items():
        print(f"{name}: {fact}")
    print(f"\n{format_table(description.rows, COLUMNS, '<<<<>>')}\n")
    for name in list_targets():
        reasons = list_refusals(args.file, find_target(name))
        print(f"{name}: {'refuses ' + '; '.join(reasons) if reasons else 'runs all of it'}")
