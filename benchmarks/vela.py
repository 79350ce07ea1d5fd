"""Measures how close the estimates for Arm's Ethos-U are to Vela, run here on exported models, by layer.

    python -m benchmarks.vela
    python -m benchmarks.vela --target ethos-u85-2048 --rows --json vela.json

The networks are the zoo's, single convolutions and plain networks, with random weights, which cost as
much as trained ones. A row is a convolution with what is fused to it: its cycles by Vela, the most of
compute and memory, beside those of `estimate`. The targets' figures are those of Vela's published
source but for one, `mac.blocks.weight_share` of the Ethos-U85, fitted to the networks of `FITTED`. The
rows of plain networks drawn at random are unseen: they were first computed when all that was settled,
and another ``--seed`` draws others. The rest was looked at on the way.
Vela (the extra "npu") takes about a second per network.

What is off, and why. Ethos-U85: Vela keeps other weights beside a cascade than ours, and so takes other
stripes, of which a block of few rows reads scales and input more often; weights that it does not keep are
read anew by each block, which we do not count; a map before a slope for each channel may lie in DRAM where
ours stays on chip; a first layer of a small map waits for commands. Ethos-U65: a network's own input of
few channels costs bursts of 128 bytes, and inputs are read anew for each block, both of which are
modelled for the Ethos-U85 alone. Ethos-U55: Vela keeps maps of any size on chip, in a memory mode without
a size, where ours come from the flash.
"""

import argparse
import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from sesr_jax.export import export_tflite
from sesr_jax.files import write_file
from sesr_jax.graph import Graph, Node
from sesr_jax.models import network
from sesr_jax.npu import estimate, layers_from_tflite
from sesr_jax.npu.compilers import compile_model
from sesr_jax.npu.layers import CONVOLUTIONS
from sesr_jax.quant import find_points
from sesr_jax.report import format_table
from sesr_jax.targets import find_target

TARGETS = ("ethos-u55-256", "ethos-u65-512", "ethos-u85-512", "ethos-u85-2048")
FITTED = ("sesr_m5_hw ×2 400×300", "sesr_xl_hw ×2 400×300", "plain_3_72_4_5 ×1 112×46")
_SIZES = ((64, 64), (300, 400))
_CONVOLUTIONS = ("conv_3_32_3", "conv_16_16_3", "conv_32_32_5", "conv_64_64_3", "conv_64_16_1")
CASES = (
    *(("sesr_m5_hw", 2, size) for size in _SIZES),
    *(("fsrcnn", 2, size) for size in _SIZES),
    *(("sesr_m3_hw", 2, size) for size in _SIZES),
    *(("sesr_xl_hw", 2, size) for size in _SIZES),
    ("sesr_m7_hw", 4, (180, 320)),
    *((name, 1, (96, 96)) for name in _CONVOLUTIONS),
    ("sesr_m11_hw", 2, (135, 240)),
    ("sesr_m11_hw", 4, (96, 128)),
    ("conv_24_48_3", 1, (120, 160)),
    ("conv_48_24_5", 1, (120, 160)),
    ("plain_3_72_4_5", 1, (46, 112)),
)
"""Network, scale, (height, width) of the input."""
_DRAWN = 8
_THEIRS = ("Conv2D", "DepthwiseConv2D", "TransposeConv2D", "FullyConnected")


@dataclasses.dataclass(frozen=True)
class Row:
    """A convolution by Vela and by our estimate.

    Attributes:
      network: its name, scale factor and size.
      layer: the name of the convolution.
      theirs: Vela's cycles.
      ours: the estimate's.
      bound: what binds in Vela: "NPU", "SRAM" or "DRAM".
      group: "fitted", "seen" or "unseen".
    """

    network: str
    layer: str
    theirs: float
    ours: float
    bound: str
    group: str

    @property
    def error(self) -> float:
        """The relative error of our cycles."""
        return self.ours / self.theirs - 1


def draw_networks(seed: int) -> tuple[tuple[str, int, tuple[int, int]], ...]:
    """Draws plain networks: their names, scale 1, and the sizes of their inputs."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(_DRAWN):
        inputs, side = rng.choice((1, 3)), rng.choice((1, 3, 5, 7, 9))
        width, depth = 4 * rng.integers(2, 25), rng.integers(1, 5)
        height, breadth = rng.integers(24, 200, 2)
        found.append((f"plain_{inputs}_{width}_{depth}_{side}", 1, (int(height), int(breadth))))
    return tuple(found)


def _make_chain(size: tuple[int, int], layers: Sequence[tuple[int, int, int]]) -> Graph:
    """Returns a chain of convolutions (K, inputs, outputs) of stride 1.

    A ReLU follows each but the last of several.
    """
    rng = np.random.default_rng(0)
    nodes: list[Node] = []
    last = "input"
    for i, (k, inputs, outputs) in enumerate(layers):
        kernel = rng.normal(0, 0.1, (k, k, inputs, outputs)).astype(np.float32)
        attrs = {"strides": (1, 1), "padding": "SAME", "groups": 1, "dilation": (1, 1)}
        shape = (1, *size, outputs)
        names = [f"conv_{i}", f"relu_{i}"]
        nodes.append(
            Node(name=names[0], op="conv2d", args=(last, kernel), attrs=attrs, shape=shape)
        )
        nodes.append(Node(name=names[1], op="relu", args=(names[0],), attrs={}, shape=shape))
        last = names[1]
    if len(layers) > 1:
        last = nodes.pop().args[0]
    shape = (1, *size, layers[0][1])
    return Graph(input="input", input_shape=shape, nodes=tuple(nodes), output=last)


def make_graph(name: str, scale: int, size: tuple[int, int]) -> Graph:
    """Returns a network of the zoo, or a plain one.

    ``conv_I_O_K`` is one K×K convolution I → O; ``plain_I_W_D_K`` a K×K one I → W, then D of 3×3, then
    one K×K to 4 · I channels.
    """
    rng = np.random.default_rng(0)
    family, *fields = name.split("_")
    if family == "conv":
        inputs, outputs, k = map(int, fields)
        return _make_chain(size, [(k, inputs, outputs)])
    if family == "plain":
        inputs, width, depth, k = map(int, fields)
        inner = [(3, width, width)] * depth
        return _make_chain(size, [(k, inputs, width), *inner, (k, width, 4 * inputs)])
    fresh = network.init(name, scale=scale, key=jax.random.key(0)).collapse()
    found = fresh.trace((1, *size, fresh.channels))
    # Slopes are equal before training, which compilers turn into one look-up table.
    nodes = [
        dataclasses.replace(
            node,
            args=(node.args[0], rng.uniform(0.1, 0.3, np.shape(node.args[1])).astype(np.float32)),
        )
        if node.op == "prelu"
        else node
        for node in found.nodes
    ]
    return dataclasses.replace(found, nodes=tuple(nodes))


def export_network(name: str, scale: int, size: tuple[int, int], path: pathlib.Path) -> None:
    """Writes the network as a full-INT8 .tflite, with made-up ranges."""
    graph = make_graph(name, scale, size)
    where = find_points(graph)
    ranges = {key: where.fixed.get(key, (-1.0, 1.0)) for key in where.group.values()}
    export_tflite(graph, path, ranges=ranges)


def compare_file(path: pathlib.Path, title: str, target_name: str, group: str) -> list[Row]:
    """Returns the convolutions of an exported file by Vela and by our estimate."""
    target = find_target(target_name)
    layers = layers_from_tflite(path)
    ours = estimate(layers, target)
    convolutions = [layer for layer in layers if layer.op in CONVOLUTIONS]
    # Vela renames what it splits; both lists are in the order of the file.
    theirs = [one for one in compile_model(path, target).operators if one.op in _THEIRS]
    found = []
    for layer, operator in zip(convolutions, theirs, strict=True):
        cycles = sum(
            row.cycles
            for row in ours.rows
            if row.name == layer.name or row.name.startswith(f"{layer.name}/")
        )
        parts = {
            "NPU": operator.compute_cycles,
            "SRAM": operator.sram_cycles,
            "DRAM": operator.dram_cycles,
        }
        bound = max(parts, key=parts.__getitem__)
        found.append(Row(title, layer.name, operator.cycles, cycles, bound, group))
    return found


def measure_agreement(found: Sequence[Row]) -> tuple[float, float]:
    """Returns Spearman's rank correlation, and the median of the errors' magnitudes."""
    from scipy.stats import spearmanr

    rank = spearmanr([row.theirs for row in found], [row.ours for row in found]).statistic
    return float(rank), float(np.median([abs(row.error) for row in found]))


def _summarise(target: str, found: Sequence[Row]) -> list[list[str]]:
    table = []
    for name, group in (
        ("all", found),
        *((name, [r for r in found if r.group == name]) for name in ("fitted", "seen", "unseen")),
        *((f"bound by {b}", [r for r in found if r.bound == b]) for b in ("NPU", "SRAM", "DRAM")),
    ):
        if len(group) > 2:
            rank, median = measure_agreement(group)
            worst = max(abs(row.error) for row in group)
            near = sum(abs(row.error) < 0.2 for row in group) / len(group)
            cells = [f"{rank:.3f}", f"{median:.1%}", f"{near:.0%}", f"{worst:.0%}"]
            table.append([target, name, str(len(group)), *cells])
    return table


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, compiles, and prints tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", action="append", help=f"default {', '.join(TARGETS)}")
    parser.add_argument("--network", action="append", help="of those that are compared; all")
    parser.add_argument("--seed", type=int, default=0, help="of the networks that are drawn")
    parser.add_argument(
        "--rows", action="store_true", help="every row, not those that are off alone"
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    args = parser.parse_args(argv)

    targets = args.target or list(TARGETS)
    found: dict[str, list[Row]] = {target: [] for target in targets}
    with tempfile.TemporaryDirectory() as folder:
        for name, scale, size in (*CASES, *draw_networks(args.seed)):
            if args.network and name not in args.network:
                continue
            path = pathlib.Path(folder) / f"{name}.tflite"
            export_network(name, scale, size, path)
            title = f"{name} ×{scale} {size[1]}×{size[0]}"
            group = (
                "fitted"
                if title in FITTED
                else "seen"
                if (name, scale, size) in CASES
                else "unseen"
            )
            for target in targets:
                found[target] += compare_file(path, title, target, group)
    results: dict[str, Any] = {}
    for target in targets:
        shown = [row for row in found[target] if args.rows or abs(row.error) >= 0.2]
        header = ["rows off by 20 % or more" if not args.rows else "rows", "layer", "Vela", "ours"]
        cells = [
            [
                row.network,
                row.layer,
                f"{row.theirs:.0f}",
                f"{row.ours:.0f}",
                f"{row.error:+.0%}",
                row.bound,
                row.group,
            ]
            for row in shown
        ]
        print(f"{target}\n{format_table(cells, [*header, 'error', 'bound', ''], '<<>>><<')}\n")
        results[target] = [dataclasses.asdict(row) for row in found[target]]
    table = [line for target in targets for line in _summarise(target, found[target])]
    header = ["target", "rows", "", "rank correlation", "median error", "<20%", "worst"]
    print(format_table(table, header, "<<>>>>>"))
    if args.json:
        write_file(args.json, json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
