"""``sesr upscale``: a picture, larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sesr_jax.cli import arguments

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
        default="256",
        help="a tile's side or size, such as 400x300, or auto: the fastest on --target; default %(default)s",
    )
    parser.add_argument(
        "--target", default="ethos-n78-4tops", help="of --tile auto; default %(default)s"
    )
    args = parser.parse_args(argv)

    from tqdm import tqdm

    from sesr_jax.data import output_format, read_image, write_image
    from sesr_jax.upscale import load_upscaler, upscale_photo

    output_format(args.output)
    photo = read_image(args.input)
    upscaler = load_upscaler(args.model)
    with tqdm(desc=f"{upscaler.name} ×{upscaler.scale}", unit="tile", leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        tile = args.tile
        if tile == "auto":
            tile = _fastest_tile(args.model, upscaler, args.target, photo.shape[:2])
        large = upscale_photo(upscaler, photo, tile=tile, progress=progress)
    write_image(args.output, large)
    print(
        f"{args.input} {photo.shape[1]}×{photo.shape[0]} → {args.output} {large.shape[1]}×{large.shape[0]}"
    )


def _fastest_tile(
    model: str, upscaler: Upscaler, target: str, size: tuple[int, int]
) -> tuple[int, int]:
    """The tile in which the target takes the least time for a photo of `size`; it is told."""
    from sesr_jax.errors import InputError
    from sesr_jax.npu import best_tiling, find_target, layers_from_graph
    from sesr_jax.pretrained import find_network
    from sesr_jax.upscale import photo_halo

    if upscaler.tile or model.startswith("bicubic_x"):
        raise InputError(
            f"{model} leaves no choice of tiles; --tile auto is for networks, give a size or nothing."
        )
    network = find_network(model).collapsed()
    align = upscaler.align
    height, width = (n + -n % align for n in size)
    layers = layers_from_graph(network.graph((1, height, width, network.channels)))
    halo = photo_halo(upscaler)
    tiling = best_tiling(layers, find_target(target), frame=(height, width), halo=halo, align=align)
    print(tiling.to_text())
    return tiling.tile
