"""Makes the folder that a machine without a network needs for `benchmarks.accelerator`.

    python -m benchmarks.carry carry --train FOLDER --held-out Set5

- ``site/`` has the Python packages of ``--package``, unpacked from wheels that pip downloads. They must be
  pure Python; what they need in turn must be named too.
- ``train.zip`` and ``held_out.zip`` have images as lossless WebP files, numbered in their order. The first
  holds their luma alone, as grey images of full range, unless ``--rgb`` keeps the colours. Where the images
  are larger than ``--limit``, a random part of them, always the same, is packed.

A training on the images of a pack has the same pixels, low resolutions and crops as one on the images that
were packed, bit for bit (`tests/test_accelerator.py`). The luma of colour images is rounded to 8 bits
before that, and is then up to 0.43 codes of 255 apart from the one that a training on the colours computes.
"""

import argparse
import io
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from tqdm import tqdm

from sesr_jax.data.colour import rgb_to_y
from sesr_jax.data.images import read_image
from sesr_jax.data.sources import ImageSet, open_source
from sesr_jax.errors import InputError
from sesr_jax.files import make_folder, replace_file

PACKAGES, TRAIN, HELD_OUT = "site", "train.zip", "held_out.zip"
"""What the folder holds."""

_MEMBER = re.compile(r"\d{6}\.webp")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def main(argv: list[str] | None = None) -> int:
    """Parses `argv`, makes the folder, and prints what it holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--train", help="images to train on: a folder, or embedded:train")
    parser.add_argument("--held-out", help="images to measure on")
    parser.add_argument("--rgb", action="store_true", help="keep the colours of training images")
    parser.add_argument("--limit", type=float, default=44, help="of train.zip in MiB; %(default)s")
    parser.add_argument("--package", action="append", help="to download, such as ml-collections")
    parser.add_argument("--python", default="3.12", help="the version there; default %(default)s")
    args = parser.parse_args(argv)
    try:
        make_folder(args.folder)
        if args.package:
            count = fetch_packages(args.package, args.folder / PACKAGES, args.python)
            print(f"{args.folder / PACKAGES}: {count} packages")
        if args.train:
            pack_source(
                args.train, args.folder / TRAIN, colours=args.rgb, limit=int(args.limit * 2**20)
            )
        if args.held_out:
            pack_source(args.held_out, args.folder / HELD_OUT, colours=True)
    except InputError as error:
        print(f"benchmarks.carry: {error}", file=sys.stderr)
        return 2
    return 0


def pack_source(spec: str, file: pathlib.Path, *, colours: bool, limit: int | None = None) -> None:
    """Packs the images of the source `spec`, and prints how many there are and what they take."""
    images = open_source(spec)
    count = pack(images, file, colours=colours, limit=limit)
    size = file.stat().st_size / 2**20
    print(f"{file}: {count} of {len(images)} images, {size:.1f} MiB")


def pack(images: ImageSet, file: pathlib.Path, *, colours: bool, limit: int | None = None) -> int:
    """Writes high resolutions to a zip file of lossless WebP files; low resolutions are left out.

    Args:
      images: what is packed.
      file: the zip file.
      colours: whether colour images stay RGB; if not, their luma is packed.
      limit: the most bytes that the images may take; None for no limit.

    Returns:
      The number of images packed.

    Raises:
      InputError: an image cannot be read, the file cannot be written, or no image fits.
    """
    order = np.random.default_rng(0).permutation(len(images))
    encoded: dict[int, bytes] = {}
    room = np.inf if limit is None else limit
    for index in tqdm(order.tolist(), desc=file.name, unit="image"):
        hr = images[index].hr
        content = _encode(hr if colours else to_luma(hr))
        if len(content) <= room:
            room -= len(content)
            encoded[index] = content
    if not encoded:
        raise InputError(f"none of {len(images)} images fits into {limit} bytes.")
    with replace_file(file) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for number, index in enumerate(sorted(encoded)):
            member = zipfile.ZipInfo(f"{number:06}.webp", _LONG_AGO)
            archive.writestr(member, encoded[index])
    return len(encoded)


def unpack(file: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the images of a pack to `folder`, in which a training reads them in the same order.

    Raises:
      InputError: `file` is damaged, or no such pack.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if wrong := [name for name in names if not _MEMBER.fullmatch(name)]:
                raise InputError(
                    f"{file} holds {wrong[0]}: a pack holds images 000000.webp and so on."
                )
            archive.extractall(make_folder(folder))
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} can't be unpacked: {error}") from error


def to_luma(image: np.ndarray) -> np.ndarray:
    """Returns the luma of uint8 ``[H, W, 3]``, in full range and rounded, as ``[H, W]``; grey as it is.

    Full-range Y' = (255 Y - 16) · 255 / 219, with Y as `colour.rgb_to_y` gives it: a grey image of these
    codes has that Y again.
    """
    if image.ndim == 2:
        return image
    studio = rgb_to_y(image / 255.0)[..., 0] * 255
    return np.rint((studio - 16) * 255 / 219).astype(np.uint8)


def _encode(image: np.ndarray) -> bytes:
    """Returns a lossless WebP file, which reads back as the same pixels; grey ones as R = G = B."""
    buffer = io.BytesIO()
    Image.fromarray(image).convert("RGB").save(buffer, "WEBP", lossless=True)
    content = buffer.getvalue()
    read = read_image(content)
    if not np.array_equal(read, image if image.ndim == 3 else np.stack([image] * 3, axis=-1)):
        raise InputError(f"an image of {image.shape[1]}×{image.shape[0]} changed in lossless WebP.")
    return content


def fetch_packages(packages: Sequence[str], folder: pathlib.Path, python: str) -> int:
    """Downloads wheels of pure Python, without what they need, and unpacks them into `folder`.

    Returns:
      The number of packages.

    Raises:
      InputError: pip does not find one.
    """
    with tempfile.TemporaryDirectory() as wheels:
        options = [
            "--no-deps",
            "--only-binary=:all:",
            "--platform=any",
            f"--python-version={python}",
        ]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "-d", wheels]
        ran = subprocess.run([*command, *packages], capture_output=True, text=True)
        if ran.returncode:
            reason = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(
                f"pip downloads no pure Python wheels of {', '.join(packages)}: {reason}"
            )
        return unpack_wheels(pathlib.Path(wheels).glob("*.whl"), folder)


def unpack_wheels(wheels: Iterable[pathlib.Path], folder: pathlib.Path) -> int:
    """Replaces `folder` by one with the content of `wheels`, and returns how many they are."""
    shutil.rmtree(folder, ignore_errors=True)
    count = 0
    for count, wheel in enumerate(wheels, 1):  # noqa: B007
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(make_folder(folder))
    return count


if __name__ == "__main__":
    sys.exit(main())
