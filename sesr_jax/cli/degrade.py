"""``sesr degrade``: degrades a photo as training does, to see what a network learns from."""

import pathlib
from collections.abc import Sequence
from typing import Any

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr degrade photo.png small.png --seed 3
  sesr degrade photo.png examples.html --seed 3
  sesr degrade photo.png small.png --option jpeg_range=30,50 --option sinc_prob=0"""

_EXAMPLES = 12


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, degrades, and says what was written."""
    parser = arguments.make_parser(
        "degrade",
        "Degrade a photo as the training for real photos does: blur, resizing, noise and JPEG, twice over "
        "(Real-ESRGAN).",
        _EXAMPLE,
    )
    parser.add_argument("input", type=pathlib.Path, help="the photo")
    parser.add_argument(
        "output",
        type=pathlib.Path,
        help=f"the image to write; or an .html page with {_EXAMPLES} examples of successive seeds",
    )
    parser.add_argument(
        "--scale", type=int, default=4, help="the scale factor; default %(default)s"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="what is drawn from; default %(default)s"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the degradation, by the name of Real-ESRGAN's option files, such as "
        "jpeg_range=30,95; repeatable",
    )
    args = parser.parse_args(argv)

    from sesr_jax.data import read_photo, to_8_bits, write_image
    from sesr_jax.data.colour import grey_to_rgb
    from sesr_jax.data.degradation import degrade_photo
    from sesr_jax.errors import InputError
    from sesr_jax.files import check_distinct, check_writable

    options = _read_options(args.option)
    check_distinct(args.input, args.output)
    check_writable(args.output)
    pixels = grey_to_rgb(to_8_bits(read_photo(args.input).pixels))
    if not 1 <= args.scale <= min(pixels.shape[:2]) // 2:
        raise InputError(
            f"--scale is {args.scale}: of {pixels.shape[1]}×{pixels.shape[0]} pixels 2×2 or more must be "
            "left."
        )

    def draw(seed: int):  # type: ignore[no-untyped-def]
        return degrade_photo(seed, pixels, scale=args.scale, options=options)

    if args.output.suffix == ".html":
        from sesr_jax.report import Image, Page, Section, write_page

        seeds = range(args.seed, args.seed + _EXAMPLES)
        images = [Image(draw(seed), f"seed {seed}") for seed in seeds]
        title = f"{args.input.name}, degraded to a {args.scale}th of its sides"
        write_page(Page(title, [Section("Examples", images)]), args.output)
    else:
        write_image(args.output, draw(args.seed))
    print(f"{args.input} → {args.output}")


def _read_options(given: Sequence[str]):  # type: ignore[no-untyped-def]
    """Returns the `Degradation` with the options that were given as "name=value".

    Raises:
      InputError: there is no such option, or it has no such value.
    """
    import dataclasses

    from sesr_jax.data.degradation import Degradation
    from sesr_jax.errors import InputError, look_up

    known = {
        field.name: getattr(Degradation(), field.name) for field in dataclasses.fields(Degradation)
    }
    values: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        default = look_up("option", name, known)
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError as error:
            raise InputError(
                f"--option {text}: its value must be numbers between commas."
            ) from error
        if isinstance(default, float) and len(numbers) != 1:
            raise InputError(f"--option {text}: its value must be one number.")
        values[name] = numbers[0] if isinstance(default, float) else numbers
    return Degradation(**values)
