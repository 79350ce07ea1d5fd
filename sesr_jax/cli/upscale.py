"""``sesr upscale``: a picture, larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError

if TYPE_CHECKING:
    from sesr_jax.upscale import Upscaler

_EXAMPLE = """  sesr upscale photo.jpg large.png --model runs/demo/train
  sesr upscale photo.jpg large.png --model bicubic_x2
  sesr upscale photo.jpg large.png --model runs/demo/train --tile auto --target ethos-n78-4tops"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, upscales, and says what was written."""
    parser = arguments.parser("upscale", "Upscale a picture, tile by tile.", _EXAMPLE)
    parser.add_argument("input", help="PNG, JPEG, WebP, BMP or TIFF")
    parser.add_argument("output", help="the file to write; its suffix decides the format")
    parser.add_argument("--model", required=True, help=arguments.MODEL)
    parser.add_argument(
        "--tile",
        type=arguments.tile,
        help="a tile's side or size, such as 400x300, or auto: the fastest on --target; default 256",
    )
    parser.add_argument("--target", help="of --tile auto; default ethos-n78-4tops")
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from sesr_jax.data import output_format, read_image, write_image
    from sesr_jax.upscale import load_upscaler, upscale_photo

    if args.target and args.tile != "auto":
        raise InputError(
            f"--target {args.target} is for --tile auto alone; give both, or leave it out."
        )
    output_format(args.output)
    photo = read_image(args.input)
    upscaler = load_upscaler(args.model)
    if args.tile and upscaler.tile:
        height, width = upscaler.tile
        raise InputError(f"{args.model} takes tiles of {width}×{height} alone; leave --tile out.")
    with tqdm(desc=f"{upscaler.name} ×{upscaler.scale}", unit="tile", leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        tile = args.tile or 256
        if tile == "auto":
            target = args.target or "ethos-n78-4tops"
            tile = _fastest_tile(args.model, upscaler, target, photo.shape[:2])
        large = upscale_photo(upscaler, photo, tile=tile, progress=progress)
    write_image(args.output, large)
    print(
        f"{args.input} {photo.shape[1]}×{photo.shape[0]} → {args.output} {large.shape[1]}×{large.shape[0]}"
    )


def _fastest_tile(
    model: str, upscaler: Upscaler, target: str, size: tuple[int, int]
) -> tuple[int, int]:
    """The tile in which the target takes the least time for a photo of `size`; it is told."""
    from sesr_jax.npu import best_tiling, find_target, layers_from_graph
    from sesr_jax.pretrained import find_network
    from sesr_jax.upscale import photo_halo

    if model.endswith((".tflite", ".onnx")) or model.startswith("bicubic_x"):
        raise InputError(
            f"{model} is no network of ours, whose tiles are chosen by its layers; leave --tile auto out."
        )
    network = find_network(model).collapsed()
    align = upscaler.align
    height, width = (n + -n % align for n in size)
    layers = layers_from_graph(network.graph((1, height, width, network.channels)))
    halo = photo_halo(upscaler)
    tiling = best_tiling(layers, find_target(target), frame=(height, width), halo=halo, align=align)
    print(tiling.to_text())
    return tiling.tile
