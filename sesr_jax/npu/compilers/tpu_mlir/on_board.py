"""Upscales an image by a compiled file (.bmodel) on a BM1684X. It was tried on no board.

    python3 upscale.py photo.jpg large.png --bmodel network.bmodel

It needs NumPy, Pillow and SophonSDK's sail, and no other package: `sesr compile` copies it beside the
compiled file.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

_STEPS = ("decode", "prepare", "upscale", "finish", "encode")

HALO = 0  # pixels that a piece shares with its neighbour, on each side

# Luma of ITU-R BT.601 in studio range, for R, G and B from 0 to 1.
LUMA = np.array([65.481, 128.553, 24.966], np.float32) / 255
LUMA_OFFSET = 16 / 255


def prepare(rgb: np.ndarray, channels: int) -> np.ndarray:
    """Returns the network's input, float32 [1, C, h, w] in [0, 1], for uint8 [h, w, 3]."""
    pixels = rgb.astype(np.float32) / 255
    if channels == 1:
        pixels = (pixels @ LUMA + np.float32(LUMA_OFFSET))[..., None]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def finish(output: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Returns the image, uint8 [H, W, 3], for the network's output [1, C, H, W] and its input image."""
    image = np.clip(output[0].astype(np.float32), 0, 1).transpose(1, 2, 0)
    if image.shape[-1] == 1:
        height, width = image.shape[:2]
        colours = Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC)
        bicubic = np.asarray(colours, np.float32) / 255
        # All three colours move alike with luma, by 255/219.
        change = image[..., 0] - (bicubic @ LUMA + np.float32(LUMA_OFFSET))
        image = np.clip(bicubic + change[..., None] * np.float32(255 / 219), 0, 1)
    return np.rint(image * 255).astype(np.uint8)


def find_corners(whole: int, piece: int, halo: int) -> list[tuple[int, int, int]]:
    """Returns where pieces of a side begin, and which part of each is kept, in pixels of the whole."""
    if whole <= piece:
        return [(0, 0, whole)]
    step = max(piece - 2 * halo, 1)
    found = []
    first = 0
    while True:
        corner = min(max(first - halo, 0), whole - piece)
        last = whole if corner + piece >= whole else first + step
        found.append((corner, first, last))
        if last == whole:
            return found
        first = last


def upscale(
    network: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    size: tuple[int, int],
    scale: int,
    halo: int,
) -> np.ndarray:
    """Returns the output [1, C, H, W] for x [1, C, h, w], in pieces of `size` (height, width)."""
    height, width = x.shape[2:]
    below, beside = max(size[0] - height, 0), max(size[1] - width, 0)
    padded = np.pad(x, ((0, 0), (0, 0), (0, below), (0, beside)), mode="edge")
    out = np.zeros((1, x.shape[1], height * scale, width * scale), np.float32)
    for top, first_row, last_row in find_corners(height, size[0], halo):
        for left, first_column, last_column in find_corners(width, size[1], halo):
            piece = padded[:, :, top : top + size[0], left : left + size[1]]
            got = network(np.ascontiguousarray(piece))
            rows = slice((first_row - top) * scale, (last_row - top) * scale)
            columns = slice((first_column - left) * scale, (last_column - left) * scale)
            place = (
                slice(first_row * scale, last_row * scale),
                slice(first_column * scale, last_column * scale),
            )
            out[(slice(None), slice(None), *place)] = got[:, :, rows, columns]
    return out


def main() -> None:
    """Parses the command line, upscales, and prints times."""
    parser = argparse.ArgumentParser(description="Upscale an image by a .bmodel on a BM1684X.")
    parser.add_argument("source", help="an image")
    parser.add_argument("target", help="the upscaled image")
    parser.add_argument("--bmodel", required=True)
    parser.add_argument("--device", type=int, default=0)
    args = parser.parse_args()

    import sophon.sail as sail

    engine = sail.Engine(args.bmodel, args.device, sail.IOMode.SYSIO)
    graph = engine.get_graph_names()[0]
    source = engine.get_input_names(graph)[0]
    target = engine.get_output_names(graph)[0]
    _, channels, height, width = engine.get_input_shape(graph, source)
    scale = engine.get_output_shape(graph, target)[3] // width
    chip = []

    def network(x: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        y: np.ndarray = engine.process(graph, {source: x})[target]
        chip.append(time.perf_counter() - start)
        return y

    times = [time.perf_counter()]
    rgb = np.asarray(Image.open(args.source).convert("RGB"))
    times.append(time.perf_counter())
    x = prepare(rgb, channels)
    times.append(time.perf_counter())
    y = upscale(network, x, (height, width), scale, HALO)
    times.append(time.perf_counter())
    image = finish(y, rgb)
    times.append(time.perf_counter())
    Image.fromarray(image).save(args.target)
    times.append(time.perf_counter())
    for name, seconds in zip(_STEPS, np.diff(times)):  # noqa: B905  (a board's Python is older)
        print(f"{name:<8}{seconds * 1e3:10.2f} ms")
    print(f"{'chip':<8}{np.mean(chip) * 1e3:10.2f} ms for each of {len(chip)} pieces")


if __name__ == "__main__":
    main()
