"""``sesr upscale``: a picture, larger."""

from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr upscale photo.jpg large.png --model runs/demo/train
  sesr upscale photo.jpg large.png --model bicubic_x2"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, upscales, and says what was written."""
    parser = arguments.parser("upscale", "Upscale a picture, tile by tile.", _EXAMPLE)
    parser.add_argument("input", help="PNG, JPEG, WebP, BMP or TIFF")
    parser.add_argument("output", help="the file to write; its suffix decides the format")
    parser.add_argument("--model", required=True, help=arguments.MODEL)
    parser.add_argument(
        "--tile", type=int, default=256, help="side of a tile in pixels; default %(default)s"
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

        large = upscale_photo(upscaler, photo, tile=args.tile, progress=progress)
    write_image(args.output, large)
    print(
        f"{args.input} {photo.shape[1]}×{photo.shape[0]} → {args.output} {large.shape[1]}×{large.shape[0]}"
    )
