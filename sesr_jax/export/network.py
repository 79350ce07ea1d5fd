"""Exports a trained network to TFLite or ONNX files in one call."""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sesr_jax import __version__
from sesr_jax.data import ImagePair, open_source
from sesr_jax.errors import InputError
from sesr_jax.export.onnx import export_onnx
from sesr_jax.export.options import Options
from sesr_jax.export.proof import prove_collapse
from sesr_jax.export.rewrite import rewrite_graph
from sesr_jax.export.tflite import export_tflite
from sesr_jax.graph import Graph, list_host_blocks, measure_extent, with_split_concats
from sesr_jax.metrics import choose_protocol
from sesr_jax.models.network import Network, save
from sesr_jax.pretrained import find_network
from sesr_jax.quant import INT8, Range, Ranges, find_points, find_ranges
from sesr_jax.train.checkpoint import read_config

CALIBRATION_IMAGES = 32
"""The number of calibration images that are measured, from the first on."""

DEFAULT_SIZE = (360, 640)
"""The height and width of the input of a file for which no other size is given."""


def export_network(
    network: Network,
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] = DEFAULT_SIZE,
    tile: tuple[int, int] | None = None,
    calibration: Iterable[ImagePair] | None = None,
    observer: str = "min_max",
    options: Options = Options(),  # noqa: B008  (frozen)
    accept: Callable[[pathlib.Path], None] | None = None,
    cross_check: bool = False,
    split_concats: bool = False,
) -> list[pathlib.Path]:
    """Writes `network`, collapsed, for inputs of `size` (height, width).

    The file's metadata say what it is, and prove the collapse (`prove_collapse`). Its golden pair stands
    beside it (`golden`).

    Args:
      network: the trained network, expanded or collapsed.
      path: the path of the file, which is ONNX where the path ends in .onnx, and TFLite otherwise.
      size: the height and width of the input; a .tflite file runs at this size, an .onnx file at every size.
      tile: the size of a second file, for pieces of such an image, whose name ends with it; the ranges are
        the same, so that the tiles give the codes of the whole image.
      calibration: images on whose low resolutions the ranges of an integer file are measured, of which the
        first 32 are used; None for the ranges with which the network was trained.
      observer: how ranges are found on these images, as in `quant.find_ranges`.
      options: the choices of the export.
      accept: is called with each finished .tflite file before it takes its place, and may raise.
      cross_check: see `export_tflite`.
      split_concats: whether a convolution of a concat becomes a sum of convolutions, so that its tensors need
        not share a range (`graph.with_split_concats`); the ranges must then be measured.

    Returns:
      The files' paths.

    Raises:
      InputError: as `export_tflite`, `export_onnx`, `prove_collapse` and `find_ranges`; or an integer file
        is wanted and there are no ranges, or an .onnx file of what it cannot be.
    """
    proof = prove_collapse(network)
    path = pathlib.Path(path)
    trace = _trace_split if split_concats else trace_collapsed
    graph = trace(network, size)
    beside: dict[str | os.PathLike[str], Graph] = {}
    if tile is not None:
        looks = measure_extent(graph)
        _check_tile(tile, size, 2 * looks.get_halo(network.name) + looks.align)
        beside[path.with_stem(f"{path.stem}_{tile[1]}x{tile[0]}")] = trace_collapsed(network, tile)
    metadata = {
        "model": network.name,
        "scale": network.scale,
        "channels": network.channels,
        "colour": "Y" if network.channels == 1 else "RGB",
        "collapse": dataclasses.asdict(proof),
        "version": __version__,
    } | ({"split_concats": True} if split_concats else {})
    ranges = _find_ranges(network, graph, calibration, observer, options)
    if path.suffix == ".onnx":
        _export_onnx(graph, path, ranges, options, metadata)
        return [path]
    export_tflite(
        graph,
        path,
        ranges=ranges,
        beside=beside,
        options=options,
        metadata=metadata,
        accept=accept,
        cross_check=cross_check,
    )
    return [path, *map(pathlib.Path, beside)]


def find_calibration(network: Network, name: str | None = None) -> Sequence[ImagePair] | None:
    """Returns the calibration images called `name` (see `data.open_source`), or the default ones.

    By default a network that was trained with ranges gets none, and any other network "embedded:train".

    Raises:
      InputError: there are no such images.
    """
    if name is None and network.ranges is not None:
        return None
    return open_source(name or "embedded:train")


def export_weights(
    model: str | os.PathLike[str], path: str | os.PathLike[str], *, expanded: bool = False
) -> Network:
    """Writes the bare weights of a trained network as a .safetensors file, and returns the network.

    The metadata of a run's weights hold the config of its training.

    Args:
      model: as for `pretrained.find_network`.
      path: the path of the file.
      expanded: whether the weights are written as they were trained, rather than collapsed.

    Raises:
      InputError: there is no such network, or the file cannot be written.
    """
    network = find_network(model)
    facts = {"training": read_config(model).to_json()} if pathlib.Path(model).is_dir() else {}
    save(network if expanded else network.collapse(), path, **facts)
    return network


def _check_tile(tile: tuple[int, int], size: tuple[int, int], least: int) -> None:
    for side, whole in zip(tile, size, strict=True):
        if side < min(least, whole):
            raise InputError(
                f"a tile of {tile[1]}×{tile[0]} keeps nothing of an image of {size[1]}×{size[0]} beside the "
                f"pixels that the network reads around it; take sides of at least {least}."
            )


def trace_collapsed(network: Network, size: tuple[int, int]) -> Graph:
    """Returns the Graph of the collapsed network for one image of `size` (height, width)."""
    return network.collapse().trace((1, *size, network.channels))


def _trace_split(network: Network, size: tuple[int, int]) -> Graph:
    return with_split_concats(trace_collapsed(network, size))


def _export_onnx(
    graph: Graph,
    path: pathlib.Path,
    ranges: Ranges | None,
    options: Options,
    metadata: Mapping[str, Any],
) -> None:
    if options.precision not in ("int8", "weights", "float16", "float32"):
        raise InputError(
            f"ONNX files are int8, weights, float16 or float32, not {options.precision}."
        )
    if options.tail == "transpose":
        raise InputError(
            "ONNX files write a depth_to_space as DepthToSpace; take transposed_conv or none instead "
            "of transpose."
        )
    written, used = rewrite_graph(graph, ranges, options)
    facts = {**metadata, "precision": options.precision, "tail": options.choose_tail(graph)}
    if options.precision == "int8":
        facts["io"] = options.io or "float32"
    if options.tail == "none":
        facts["host_blocks"] = list_host_blocks(graph)
    # A scheme of float activations means codes for the kernels, which files of floats must not have.
    scheme = options.scheme if options.precision in ("int8", "weights") else INT8
    half = options.precision == "float16"
    export_onnx(written, path, ranges=used, scheme=scheme, half=half, io=options.io, metadata=facts)


def _find_ranges(
    network: Network,
    graph: Graph,
    calibration: Iterable[ImagePair] | None,
    observer: str,
    options: Options,
) -> dict[str, Range] | None:
    if not options.integer:
        return None
    if calibration is not None:
        first = itertools.islice(calibration, CALIBRATION_IMAGES)
        pair, align = choose_protocol(network.channels).pair, measure_extent(graph).align

        def to_input(images: ImagePair) -> np.ndarray:
            try:
                low, _ = pair(images, network.scale)
            except InputError as error:
                raise InputError(f"{images.name}: {error}") from error
            return _crop_to_multiple(low, align)[None]

        return find_ranges(graph, map(to_input, first), options.scheme, observer)
    if network.ranges is None:
        raise InputError(
            f"{network.name} was trained without ranges, which a file of the precision "
            f"{options.precision} needs; give calibration images, or export float32."
        )
    return {**network.ranges, **find_points(graph, options.scheme).fixed}


def _crop_to_multiple(image: np.ndarray, multiple: int) -> np.ndarray:
    """Crops the sides of `image` to the largest multiples of `multiple`, which the network takes."""
    height, width = (n - n % multiple for n in image.shape[:2])
    return image[:height, :width]
