"""``sesr upscale``: upscales an image, a folder of images or a video."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError
from sesr_jax.files import write_file

if TYPE_CHECKING:
    from sesr_jax.upscale import Outcome, TileChoice

_EXAMPLE = """  sesr upscale photo.jpg large.png
  sesr upscale holidays large_holidays --model sesr_m5_x4
  sesr upscale photo.jpg large.png --model realesr-general-x4v3.bin --denoise 0.5
  sesr upscale clip.mp4 large.mp4
  sesr upscale photo.jpg large.png --model runs/demo/train --tile auto --target ethos-n78-4tops
  sesr upscale - - < photo.jpg > large.png"""

_STREAM = "-"


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, upscales, and says what was written."""
    parser = arguments.make_parser(
        "upscale", "Upscale an image, a folder of images or a video, tile by tile.", _EXAMPLE
    )
    parser.add_argument(
        "input",
        help="PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF or HEIC (extra: heic), a folder with such files, or a "
        "video; - for standard input",
    )
    parser.add_argument(
        "output",
        help="the file to write, whose suffix decides the format (.mkv, .mov, .mp4 and .webm are videos); "
        "or the folder, in which what is there already stays; or - for a PNG file to standard output",
    )
    parser.add_argument(
        "--model", default="sesr_m5_x2", help=f"{arguments.MODEL}; default %(default)s"
    )
    parser.add_argument(
        "--tile",
        type=arguments.parse_tile,
        help="the side or the size of the tiles, such as 256 or 400x300, or auto, the tiles that are "
        "fastest on --target; default 256, or the whole image where the network looks at all of it",
    )
    parser.add_argument("--target", help=f"the NPU for --tile auto; default {arguments.TARGET}")
    parser.add_argument(
        "--halo",
        type=int,
        help="take tiles also of a network that looks at the whole image or too far for tiles, as though it "
        "looked so many pixels far; the difference from the whole image is measured and printed; default 32 "
        "for networks that look further than 64 pixels, if --tile is not given",
    )
    parser.add_argument(
        "--deinterlace",
        action="store_true",
        help="the video is interlaced: make whole frames first (FFmpeg's bwdif)",
    )
    parser.add_argument(
        "--denoise",
        type=arguments.parse_finite,
        metavar="STRENGTH",
        help="how much noise realesr-general-x4v3 removes, from 0 to 1: its weights are mixed with those of "
        'its twin, the file beside it with "wdn" in its name',
    )
    parser.add_argument("--range", type=int, choices=(1, 255), help=arguments.RANGE)
    parser.add_argument(
        "--runtime",
        choices=["auto", "xla", "litert"],
        default="auto",
        help="what runs a trained network: XLA, LiteRT (on the CPU; extra: export), or auto, LiteRT where "
        "there is no accelerator and the extra is installed; default auto",
    )
    parser.add_argument("--twin", help="the twin for --denoise, where it lies elsewhere")
    args = parser.parse_args(argv)

    from sesr_jax.upscale import (
        choose_upscaler,
        is_network,
        load_denoiser,
        load_upscaler,
        upscale_file,
        upscale_folder,
    )

    if args.target and args.tile != "auto":
        raise InputError(
            f"--target {args.target} is for --tile auto alone; give both, or leave it out."
        )
    if args.runtime != "auto" and not is_network(args.model):
        raise InputError(
            f"--runtime {args.runtime} is for trained networks alone, and {args.model} is none."
        )
    arguments.allow_large_images()
    if args.denoise is None:
        if args.twin:
            raise InputError(
                f"--twin {args.twin} is for --denoise alone; give both, or leave it out."
            )
        upscaler = load_upscaler(args.model, args.runtime, white=args.range)
    else:
        network = load_denoiser(args.model, args.denoise, args.twin)
        upscaler = choose_upscaler(network, args.runtime)
    if args.tile and upscaler.tile:
        height, width = upscaler.tile
        raise InputError(f"{args.model} takes tiles of {width}×{height} alone; leave --tile out.")
    tile: TileChoice = args.tile or "default"
    told = sys.stderr if args.output == _STREAM else sys.stdout
    if args.tile == "auto":
        tile = _choose_tiles(args.model, args.target or arguments.TARGET, told)
    if pathlib.Path(args.input).is_dir():
        if args.output == _STREAM:
            raise InputError(
                f"{args.input} is a folder, and standard output takes one image; name a folder."
            )
        if args.deinterlace:
            raise InputError(f"--deinterlace is for one video, not for the folder {args.input}.")
        _print_outcomes(
            upscale_folder(upscaler, args.input, args.output, tile=tile, halo=args.halo)
        )
    else:
        with _replace_streams(args.input, args.output) as (source, target):
            upscaled = upscale_file(
                upscaler, source, target, tile=tile, halo=args.halo, deinterlace=args.deinterlace
            )
        upscaled = dataclasses.replace(upscaled, source=args.input, target=args.output)
        print(upscaled, file=told)
        if upscaled.damaged_frames:
            raise InputError(
                f"{upscaled.damaged_frames} frames of {args.input} are damaged or lost: those that could not "
                "be decoded show the frame before them."
            )


@contextlib.contextmanager
def _replace_streams(source: str, target: str) -> Iterator[tuple[str, str]]:
    """Gives the block files in the places of standard input and output, and then writes the latter.

    Raises:
      InputError: standard output is a terminal, or takes no more; or what the block raises, with the names
        of the streams.
    """
    if target == _STREAM and sys.stdout.isatty():
        raise InputError(
            "standard output is a terminal, which shows no image; name a file, or a pipe."
        )
    with tempfile.TemporaryDirectory() as folder:
        names = {f"{folder}/input": "standard input", f"{folder}/output.png": "standard output"}
        read, written = names
        if source == _STREAM:
            with open(read, "wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield (read if source == _STREAM else source, written if target == _STREAM else target)
        except InputError as error:
            text = str(error)
            for name, stream in names.items():
                text = text.replace(name, stream)
            raise InputError(text) from error
        if target == _STREAM:
            write_file("/dev/stdout", pathlib.Path(written).read_bytes())


def _choose_tiles(
    model: str, target: str, told: TextIO
) -> Callable[[tuple[int, int]], tuple[int, int]]:
    """Returns a function that chooses the fastest tile for an image's size, and prints it to `told`."""
    from sesr_jax.npu import find_best_photo_tiling
    from sesr_jax.pretrained import find_network
    from sesr_jax.targets import find_target
    from sesr_jax.upscale import is_network

    if not is_network(model):
        raise InputError(
            f"--tile auto chooses tiles by the layers of a trained network, which {model} is not."
        )
    network, npu = find_network(model), find_target(target)

    def choose(size: tuple[int, int]) -> tuple[int, int]:
        tiling = find_best_photo_tiling(network, size, npu)
        print(tiling.to_text(), file=told)
        return tiling.tile

    return choose


def _print_outcomes(outcomes: Iterable[Outcome]) -> None:
    """Prints what becomes of each image of a folder.

    Raises:
      InputError: at the end, if an image could not be upscaled or was left out.
    """
    from tqdm import tqdm

    done = []
    for outcome in outcomes:
        done.append(outcome)
        if outcome.upscaled:
            tqdm.write(str(outcome.upscaled))
        elif outcome.failure:
            tqdm.write(f"sesr upscale: {outcome.failure}", file=sys.stderr)
        elif outcome.left_out:
            tqdm.write(f"sesr upscale: {outcome.source} is left out", file=sys.stderr)
    failures = [outcome.failure for outcome in done if outcome.failure]
    left_out = sorted(outcome.source.suffix for outcome in done if outcome.left_out)
    upscaled = sum(outcome.upscaled is not None for outcome in done)
    missing = len(failures) + len(left_out)
    print(f"{upscaled} upscaled, {len(done) - upscaled - missing} were there already")
    reasons = []
    if left_out:
        formats = ", ".join(f"{count} {suffix}" for suffix, count in Counter(left_out).items())
        reasons.append(f"{len(left_out)} of other formats ({formats}) were left out")
    if failures:
        reasons.append(f"{len(failures)} failed, such as: {failures[0].rstrip('.')}")
    if missing:
        raise InputError(
            f"{missing} of {len(done)} images were not upscaled: {'; '.join(reasons)}."
        )
