"""``sesr upscale``: upscales an image, a folder of images or a video."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError

if TYPE_CHECKING:
    from sesr_jax.upscale import Upscaler

_EXAMPLE = """  sesr upscale photo.jpg large.png
  sesr upscale holidays large_holidays --model sesr_m5_x4
  sesr upscale clip.mp4 large.mp4
  sesr upscale photo.jpg large.png --model runs/demo/train --tile auto --target ethos-n78-4tops"""

_PIXELS = 2**31
_TARGET = "ethos-n78-4tops"


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, upscales, and says what was written."""
    parser = arguments.parser(
        "upscale", "Upscale an image, a folder of images or a video, tile by tile.", _EXAMPLE
    )
    parser.add_argument(
        "input", help="PNG, JPEG, WebP, BMP or TIFF, a folder with such files, or a video"
    )
    parser.add_argument(
        "output",
        help="the file to write, whose suffix decides the format (.mkv, .mov, .mp4 and .webm are videos); or "
        "the folder, in which what is there already stays",
    )
    parser.add_argument(
        "--model", default="sesr_m5_x2", help=f"{arguments.MODEL}; default %(default)s"
    )
    parser.add_argument(
        "--tile",
        type=arguments.tile,
        help="a tile's side or size, such as 400x300, or auto: the fastest on --target; default 256, "
        "or the whole image where the network looks at all of it",
    )
    parser.add_argument("--target", help=f"of --tile auto; default {_TARGET}")
    parser.add_argument(
        "--halo",
        type=int,
        help="take tiles also of a network that looks at the whole image, as though it looked so many pixels "
        "far; the difference from the whole image is measured and printed",
    )
    args = parser.parse_args(argv)

    from PIL import Image

    from sesr_jax.upscale import load_upscaler, match_images

    if args.target and args.tile != "auto":
        raise InputError(
            f"--target {args.target} is for --tile auto alone; give both, or leave it out."
        )
    # Pillow's limit is against strangers' files; these are the user's own.
    Image.MAX_IMAGE_PIXELS = _PIXELS
    upscaler = load_upscaler(args.model)
    if args.tile and upscaler.tile:
        height, width = upscaler.tile
        raise InputError(f"{args.model} takes tiles of {width}×{height} alone; leave --tile out.")
    if pathlib.Path(args.input).is_dir():
        _upscale_all(args, upscaler, match_images(args.input, args.output))
    else:
        print(_upscale_one(args, upscaler, args.input, args.output))


def _upscale_all(
    args: argparse.Namespace,
    upscaler: Upscaler,
    pairs: Sequence[tuple[pathlib.Path, pathlib.Path]],
) -> None:
    """Upscales all that can be upscaled; if something cannot, it raises InputError at the end."""
    from tqdm import tqdm

    refused, there = [], 0
    for source, target in tqdm(pairs, unit="image", disable=None):
        if target.exists():
            there += 1
            continue
        try:
            tqdm.write(_upscale_one(args, upscaler, source, target))
        except InputError as error:
            tqdm.write(f"sesr upscale: {error}", file=sys.stderr)
            refused.append(source)
    print(f"{len(pairs) - there - len(refused)} upscaled, {there} were there already")
    if refused:
        raise InputError(
            f"{len(refused)} of {len(pairs)} images were not upscaled, such as {refused[0]}: the lines "
            "above say why; mend or remove them, and the same command does the rest."
        )


def _upscale_one(
    args: argparse.Namespace,
    upscaler: Upscaler,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
) -> str:
    """Upscales one image or video, and returns the line to print."""
    from tqdm import tqdm

    from sesr_jax.data import image_size, read_photo
    from sesr_jax.upscale import (
        VIDEO_FORMATS,
        measure_tiling_error,
        upscale_image,
        upscale_video,
        with_assumed_halo,
    )

    video = pathlib.Path(target).suffix.lower() in VIDEO_FORMATS
    tile: Any = args.tile or "default"
    if tile == "auto" and video:
        raise InputError(f"--tile auto is for images, not for {target}; leave it out.")
    if not video:
        size = image_size(source)
    if tile == "auto":
        tile = _fastest_tile(args.model, upscaler, args.target or _TARGET, size)
    difference = ""
    if args.halo is not None:
        if video:
            raise InputError(f"--halo {args.halo} is for images, not for {target}; leave it out.")
        pixels = read_photo(source).pixels
        difference = f"; {measure_tiling_error(upscaler, pixels, args.halo, tile=tile)}"
        upscaler = with_assumed_halo(upscaler, args.halo)
    name, unit = f"{upscaler.name} ×{upscaler.scale}", "frame" if video else "tile"
    with tqdm(desc=name, unit=unit, leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        if video:
            made = upscale_video(upscaler, source, target, tile=tile, progress=progress)
            size, large, count = made.input_size, made.output_size, f", {made.frames} frames"
        else:
            large = upscale_image(upscaler, source, target, tile=tile, progress=progress)
            count = ""
    return f"{source} {size[1]}×{size[0]} → {target} {large[1]}×{large[0]}{count}{difference}"


def _fastest_tile(
    model: str, upscaler: Upscaler, target: str, size: tuple[int, int]
) -> tuple[int, int]:
    """The tile in which the target takes the least time for a photo of `size`; it is told."""
    from sesr_jax.npu import best_tiling, layers_from_graph
    from sesr_jax.pretrained import find_network
    from sesr_jax.targets import find_target
    from sesr_jax.upscale import photo_halo

    if model.endswith((".tflite", ".onnx")) or model.startswith("bicubic_x"):
        raise InputError(
            f"{model} is no network of ours, whose tiles are chosen by its layers; leave --tile auto out."
        )
    network = find_network(model).collapsed()
    align = upscaler.extent.align
    height, width = (n + -n % align for n in size)
    layers = layers_from_graph(network.graph((1, height, width, network.channels)))
    halo = photo_halo(upscaler)
    tiling = best_tiling(layers, find_target(target), frame=(height, width), halo=halo, align=align)
    print(tiling.to_text())
    return tiling.tile
