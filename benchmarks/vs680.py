"""Fits the VS680's target of the toolchain of 2025 to the vendor's tables, and prints what is left over.

    python -m benchmarks.vs680

The tables are those of synaptics-synap/doc (manual/benchmark), of compiled models ("offline"). The Mobile AI
challenges ran on the same board by NNAPI and the toolchain of 2021 and 2022; these rows stay with the target
vs680, which `benchmarks.mobile_ai` fits.

The MAC array is that of the ideal row, 64 convolutions of 5×5 on 128×128 with 132 channels. The bandwidth is
the one that makes the squared logarithms of estimate over published time least, on XLSR and IMDN. The tables
do not say what these two read: 640×360 at ×3, as in the challenge, and 256×256 at ×4 are assumed. The two
MobileNets took no part; their widths and inputs stand in their names.
"""

import dataclasses
import json
import math
from collections.abc import Sequence

import jax

from benchmarks.mobile_ai import estimate_milliseconds, make_parser, minimise, with_bandwidth
from benchmarks.npu_networks import Chain, build_from_zoo
from sesr_jax.export import trace_collapsed
from sesr_jax.files import write_file
from sesr_jax.graph import eval_shapes
from sesr_jax.models import network
from sesr_jax.npu import Layer, layers_from_graph
from sesr_jax.report import format_table
from sesr_jax.targets import Target, find_target


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the vendor's tables.

    Attributes:
      name: in the table.
      reads: its input.
      milliseconds: of the compiled model.
      layers: its layers.
      used: what it was used for.
    """

    name: str
    reads: str
    milliseconds: float
    layers: Sequence[Layer]
    used: str


def list_rows() -> tuple[Row, ...]:
    """Returns the rows of the vendor's tables whose layers are known."""
    return (
        Row("test_64_128x128_5_132_132", "128×128×132", 119.34, _ideal(), "the array"),
        Row(
            "xlsr_quant",
            "640×360, assumed",
            31.38,
            build_from_zoo("xlsr", 360, 640),
            "the bandwidth",
        ),
        Row("imdn_quant", "256×256 ×4, assumed", 155.46, _imdn(), "the bandwidth"),
        Row("mobilenet_v1_0.25_224_quant", "224×224", 0.77, _mobilenet_v1(8), ""),
        Row("mobilenet_v2_1.0_224_quant", "224×224", 1.79, _mobilenet_v2(), ""),
    )


def _ideal() -> list[Layer]:
    chain = Chain(128, 128, 132)
    for _ in range(64):
        chain.conv(132, 5)
    return chain.layers


def _imdn() -> Sequence[Layer]:
    def trace() -> Sequence[Layer]:
        fresh = network.init("imdn", scale=4, key=jax.random.key(0))
        return layers_from_graph(trace_collapsed(fresh, (256, 256)))

    return eval_shapes(trace)


def _mobilenet_v1(width: int) -> list[Layer]:
    """Returns the layers of MobileNet (Howard et al. 2017) whose first convolution has `width` features."""
    chain = Chain(224, 224, 3)
    chain.conv(width, 3, "relu", stride=2)
    steps = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1))
    for factor, stride in steps:
        chain.conv(chain.shape[-1], 3, "relu", groups=chain.shape[-1], stride=stride)
        chain.conv(factor * width, 1, "relu")
    return _classify(chain)


def _mobilenet_v2() -> list[Layer]:
    """Returns the layers of MobileNetV2 (Sandler et al. 2018)."""
    chain = Chain(224, 224, 3)
    chain.conv(32, 3, "relu", stride=2)
    groups = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
    for expansion, features, repeats, first in (*groups, (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(repeats):
            before, wide = chain.last, expansion * chain.shape[-1]
            if expansion > 1:
                chain.conv(wide, 1, "relu")
            chain.conv(wide, 3, "relu", groups=wide, stride=1 if i else first)
            chain.conv(features, 1)
            if i:
                chain.add("add", chain.shape, before)
    chain.conv(1280, 1, "relu")
    return _classify(chain)


def _classify(chain: Chain) -> list[Layer]:
    """Adds the mean over the image and 1001 classes."""
    n, height, width, channels = chain.shape
    chain.add("average_pool", (n, 1, 1, channels), kernel=(height, width), strides=(height, width))
    chain.conv(1001, 1)
    return chain.layers


def fit(target: Target, rows: Sequence[Row]) -> float:
    """Returns the bytes per cycle that suit the rows for the bandwidth."""
    used = [row for row in rows if row.used == "the bandwidth"]

    def miss(logarithm: float) -> float:
        tried = with_bandwidth(target, math.exp(logarithm))
        ratios = (estimate_milliseconds(row.layers, tried) / row.milliseconds for row in used)
        return sum(math.log(ratio) ** 2 for ratio in ratios)

    return math.exp(minimise(miss, math.log(1), math.log(32)))


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, fits, and prints residuals."""
    args = make_parser(__doc__, "vs680-2025").parse_args(argv)

    target, before, rows = find_target(args.target), find_target("vs680"), list_rows()
    cells = []
    for row in rows:
        times = [estimate_milliseconds(row.layers, each) for each in (target, before)]
        errors = [f"{time / row.milliseconds - 1:+.0%}" for time in times]
        pairs = zip((f"{time:.2f}" for time in times), errors, strict=True)
        cells.append([row.name, row.reads, f"{row.milliseconds:.2f}", *sum(pairs, ()), row.used])
    header = ["model", "input", "ms", target.name, "", before.name, "", "fitted to"]
    print(format_table(cells, header, "<<>>>>><"))
    held, found = target.memory.dram_bytes_per_cycle, fit(target, rows)
    print(f"\ndram_bytes_per_cycle: {held:g} in {target.name}, {found:.3g} by the fit")
    if args.json:
        write_file(args.json, json.dumps({"rows": cells, "fit": [held, found]}, indent=2))


if __name__ == "__main__":
    main()
