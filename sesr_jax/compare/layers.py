"""Which layers of a network its INT8 loss comes from, as a table and a plot.

found = measure_layers(network, ranges, open_source("Set5", network.scale))
print(format_table(*make_layer_table(found)))
"""

from collections.abc import Iterable, Sequence

import numpy as np
from tqdm import tqdm

from sesr_jax import report
from sesr_jax.data import ImagePair
from sesr_jax.export.network import trace_collapsed
from sesr_jax.graph import SAMPLE_SIDE, measure_extent, with_split_concats
from sesr_jax.metrics import choose_protocol
from sesr_jax.models.network import Network
from sesr_jax.quant import Part, Ranges, Sensitivity, measure_sensitivity

SHOWN = 12
"""The number of layers that a table in a terminal has."""

_IMAGES = 4
_SIDE = 48  # of low resolution
_DRAWN = 24


def measure_layers(
    network: Network,
    ranges: Ranges,
    images: Sequence[ImagePair],
    *,
    split_concats: bool = False,
) -> list[Sensitivity]:
    """Measures what each layer of a network costs in INT8, on the centres of the first four images.

    Args:
      network: trained in float.
      ranges: the range of each group of tensors of the collapsed network.
      images: pairs of the network's scale.
      split_concats: whether convolutions of concats are sums, as in `export_network`.

    Raises:
      InputError: there is no image, or `ranges` do not suit the network.
    """
    lows, highs = crop_centres(images, network, count=_IMAGES, side=_SIDE)
    graph = trace_collapsed(network, (lows.shape[1], lows.shape[2]))
    if split_concats:
        graph = with_split_concats(graph)
    return measure_sensitivity(graph, ranges, lows, highs, show=_show_progress)


def crop_centres(
    images: Sequence[ImagePair], network: Network, *, count: int, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the centres of the first images, low and high resolution, float32 ``[N, h, w, C]``.

    Args:
      images: pairs of the network's scale.
      network: what is to read them.
      count: the most images.
      side: the largest side of the low resolution, which is smaller where an image is, and for a network that
        takes multiples of a number.

    Raises:
      InputError: there is no image.
    """
    protocol, scale = choose_protocol(network.channels), network.scale
    pairs = [protocol.pair(images[i], scale) for i in range(min(count, max(1, len(images))))]
    align = measure_extent(trace_collapsed(network, (SAMPLE_SIDE, SAMPLE_SIDE))).align
    least = [min(side, *(low.shape[axis] for low, _ in pairs)) for axis in (0, 1)]
    size = [n - n % align for n in least]

    def crop(image: np.ndarray, factor: int) -> np.ndarray:
        tops = [(image.shape[axis] // factor - size[axis]) // 2 * factor for axis in (0, 1)]
        rows, columns = (slice(top, top + n * factor) for top, n in zip(tops, size, strict=True))
        return image[rows, columns]

    lows, highs = zip(*((crop(low, 1), crop(high, scale)) for low, high in pairs), strict=True)
    return np.stack(lows), np.stack(highs) / np.float32(255)


def _show_progress(parts: Iterable[Part]) -> Iterable[Part]:
    return tqdm(parts, desc="layers", leave=False, disable=None)


def make_layer_table(
    found: Sequence[Sensitivity], count: int = SHOWN
) -> tuple[list[list[str]], list[str]]:
    """Returns rows and header of the `count` dearest parts, in dB."""
    header = ["part", "lost alone", "won without", "left without it and above"]
    rows = [
        [str(row.part), *(f"{round(value, 3) + 0:.3f}" for value in (row.alone, row.won, row.left))]
        for row in found[:count]
    ]
    return rows, header


def make_layer_section(title: str, found: Sequence[Sensitivity]) -> report.Section:
    """Returns a section of a page about what each layer of the network `title` costs."""
    rows, header = make_layer_table(found, _DRAWN)
    bars = {str(row.part): {"alone": max(row.alone, 0.0)} for row in found[:_DRAWN]}
    return report.Section(
        f"Layers of {title}",
        [
            report.Bars(bars, x="PSNR lost, in dB", caption="Each part alone quantised."),
            report.Table(
                header,
                rows,
                "In dB: lost where the part alone is quantised; won back where it alone stays float; and "
                "left to lose where it and all parts above it stay float.",
            ),
        ],
    )
