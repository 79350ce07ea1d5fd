"""Says by simulation where the INT8 loss of the official networks comes from, and what wins it back.

    python -m benchmarks.official_layers FOLDER --data SETS --set Set5

FOLDER holds the authors' files, as for `benchmarks.official`. Nothing is trained. Fake quantisation runs on
the centres of the first three images of the set. Ranges are measured on the whole photos of the calibration,
as those of files are: a crop has values of a narrower range. So a network takes a minute or two, where
`benchmarks.official_int8`, which measures files, takes several. In dB:

- lost: in full INT8, by the better one of the observers min_max and mse, or where each tensor has the range
  of that one which, alone, changes the float network's output on the photos less ("chosen");
- worst: the part that costs most where it alone is quantised: the codes of tensors that share a range, or the
  weights of a layer;
- weights: where weights alone have codes;
- int16, one: where the codes of the tensors that cost most have 16 bits, and all else is INT8;
- int16: the same for as many tensors, the dearest first, as it takes to lose no more than 0.3 dB, or for all
  but the image and the output. Tensors that share a range count as one;
- split: where convolutions of concats are sums (`sesr export --split-concats`), again by the best ranges;
- spared: how many parts, the dearest first, must stay float until no more than 0.3 dB are lost, in the better
  one of both forms.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from benchmarks.official import SETS, finish, list_files, make_parser
from benchmarks.official_int8 import LITTLE, read_photos
from sesr_jax.compare import crop_centres
from sesr_jax.data import open_source
from sesr_jax.errors import InputError
from sesr_jax.export import trace_collapsed
from sesr_jax.graph import Graph, with_split_concats
from sesr_jax.models.network import Network
from sesr_jax.pretrained import find_network
from sesr_jax.quant import CHOSEN, calibrate, choose_ranges, find_points, list_parts, make_probe
from sesr_jax.report import format_table

_OBSERVERS = ("min_max", "mse")
_SIDE = 32
_IMAGES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What one form of a network loses, in dB.

    Attributes:
      lost: in full INT8, by the best ranges.
      observer: which those are.
      by_observer: what is lost by the ranges of each observer, and by "chosen".
      worst: the dearest part, and what it costs alone.
      weights: lost where weights alone have codes.
      wide_one: lost where the dearest codes have 16 bits.
      wide: how many codes have 16 bits, how many could, and what is lost then.
      spared: how many parts must stay float, and how many there are.
    """

    lost: float
    observer: str
    by_observer: Mapping[str, float]
    worst: tuple[str, float]
    weights: float
    wide_one: float
    wide: tuple[int, int, float]
    spared: tuple[int, int]


def measure_form(
    graph: Graph, photos: Sequence[np.ndarray], lows: np.ndarray, highs: np.ndarray
) -> Found:
    """Measures one form of a network.

    Args:
      graph: the form.
      photos: what ranges are found on, ``[1, h, w, C]`` each.
      lows: the low resolutions.
      highs: the high ones.
    """
    probe, parts = make_probe(graph, lows, highs), list_parts(graph)
    found = {name: calibrate(graph, photos, observer=name) for name in _OBSERVERS}
    if len(found) > 1:
        found[CHOSEN] = choose_ranges(graph, [*found.values()], photos)
    anchor = probe(found[_OBSERVERS[0]], ())

    def lose(error: float) -> float:
        return 10 * math.log10(error / anchor)

    whole = {name: lose(probe(ranges, parts)) for name, ranges in found.items()}
    best = min(whole, key=lambda name: whole[name])
    alone = {
        part: lose(probe(found[best], [part])) for part in tqdm(parts, leave=False, disable=None)
    }
    order = sorted(parts, key=lambda part: -alone[part])
    spared = next(i for i in range(len(parts) + 1) if lose(probe(found[best], order[i:])) <= LITTLE)
    group = find_points(graph).group
    pixels = {group[graph.input], group[graph.output]}
    codes = [part for part in order if part.kind == "codes" and part.name not in pixels]
    wide = []
    for count in range(1, len(codes) + 1):
        wide.append(lose(probe(found[best], parts, codes[:count])))
        if wide[-1] <= LITTLE:
            break
    return Found(
        lost=whole[best],
        observer=best,
        by_observer=whole,
        worst=(str(order[0]), alone[order[0]]),
        weights=lose(probe(found[best], [part for part in parts if part.kind == "weights"])),
        wide_one=wide[0],
        wide=(len(wide), len(codes), wide[-1]),
        spared=(spared, len(parts)),
    )


def measure_network(network: Network, data: str, calibration: str) -> dict[str, Found]:
    """Measures a network as it is, "joined", and "split", where that is another graph."""
    images = open_source(data, network.scale)
    lows, highs = crop_centres(images, network, count=_IMAGES, side=_SIDE)
    photos = read_photos(network, calibration)
    graph = trace_collapsed(network, (lows.shape[1], lows.shape[2]))
    found = {"joined": measure_form(graph, photos, lows, highs)}
    split = with_split_concats(graph)
    if len(split.nodes) > len(graph.nodes):
        found["split"] = measure_form(split, photos, lows, highs)
    return found


def format_row(file: str, found: dict[str, Found]) -> list[str]:
    """Returns a line of the table."""
    joined, split = found["joined"], found.get("split")
    best = min(found.values(), key=lambda form: form.lost)
    cells = [file, f"{joined.lost:.2f}", joined.observer]
    cells += [f"{joined.by_observer[name]:.2f}" for name in _OBSERVERS]
    cells += [f"{joined.worst[0]}, {joined.worst[1]:.2f}", f"{joined.weights:.2f}"]
    cells += [f"{joined.wide_one:.2f}", "{2:.2f} by {0} of {1}".format(*joined.wide)]
    cells += [f"{split.lost:.2f}" if split else "–"]
    return [*cells, "{} of {}".format(*best.spared)]


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints the table."""
    parser = make_parser(__doc__, SETS[:1])
    parser.add_argument("--calibrate", default="embedded:train", help="images; default %(default)s")
    args = parser.parse_args(argv)
    data = str((args.data or args.folder) / (args.set or SETS)[0])
    results, rows = {}, []
    paths, absent = list_files(args.folder, args.only)
    for path in tqdm(paths, desc="networks", disable=None):
        try:
            found = measure_network(find_network(path), data, args.calibrate)
        except InputError as error:
            raise SystemExit(str(error)) from error
        results[path.name] = {form: dataclasses.asdict(of) for form, of in found.items()}
        rows.append(format_row(path.name, found))
        tqdm.write("  ".join(rows[-1]))
    header = ["file", "lost", "ranges", *_OBSERVERS, "worst", "weights", "int16, one", "int16"]
    header += ["split", "spared"]
    print(format_table(rows, header, "<><" + ">" * len(_OBSERVERS) + "<>>>>>"))
    finish(absent, results, args.json)


if __name__ == "__main__":
    main()
