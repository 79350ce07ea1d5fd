"""The files that hold images: their formats, their sizes, opening them, and finding them in folders.

    with open_image("a.jpg") as (file, name):
        pixels = np.array(file)

A file is opened only if it can hold the pixels that its header promises, and if memory can hold them too.
"""

import contextlib
import importlib.util
import io
import mimetypes
import os
import pathlib
import struct
from collections.abc import Collection, Iterator
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from sesr_jax.data.jpeg import is_cut
from sesr_jax.data.tiff import count_strips, read_sides
from sesr_jax.errors import InputError, MissingError, require_extra

FORMATS = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".jfif": "JPEG",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""The format that each file suffix (in lower case) stands for."""

READ_ONLY = {".gif": "GIF", ".heic": "HEIF", ".heif": "HEIF"}
"""The formats that are read and not written; HEIF by pillow-heif (the extra `heic`)."""

_ANIMATED = ("AVIF", "GIF", "PNG", "WEBP")
"""The formats in which several images are an animation; in others they are pages, or views of a scene."""

ANIMATION_SUFFIXES = tuple(suffix for suffix, kind in FORMATS.items() if kind in _ANIMATED)
"""The suffixes of the files to which animations are written."""

_HEIF = (b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1")
"""The brands of HEIF files (ISO/IEC 23008-12, annex B); AVIF files may begin with the last two."""

_BRANDS = 64
"""The first bytes of a file, among which its brands are."""

_JPEG = ("JPEG", "MPO")
"""Pillow's names for files of one JPEG image and of several."""

_BITS = {"RGB": 24, "RGBA": 32, "LA": 16, "I;16": 16}
"""The least bits of a PNG file's pixel by Pillow's mode, where they are more than one."""

_DEFLATE = 1032
"""The most bytes that a byte of DEFLATE stands for: 258 of them may take two bits (RFC 1951)."""


def list_images(folder: str | os.PathLike[str], *, recursive: bool = False) -> list[pathlib.Path]:
    """Returns the files of a folder with a suffix of `FORMATS`, sorted; hidden files are left out.

    Args:
        folder: the folder.
        recursive: whether the folders inside are searched as well, linked ones too, except hidden ones.

    Raises:
        MissingError: the folder is missing or holds no image.
    """
    return _sort_files(pathlib.Path(folder), FORMATS, recursive=recursive)[0]


def search_folder(
    folder: str | os.PathLike[str],
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns all images that can be read of a folder and those inside it, and its other images and videos.

    Hidden files and folders are left out. Images of `READ_ONLY` count where what reads them is installed.

    Raises:
        MissingError: the folder is missing or holds no image.
    """
    return _sort_files(pathlib.Path(folder), {*FORMATS, *_list_read_only()}, recursive=True)


def _sort_files(
    folder: pathlib.Path, suffixes: Collection[str], *, recursive: bool
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns the files of a folder with one of the suffixes, and the other images and videos that it holds.

    Raises:
        MissingError: the folder is missing or holds no file with one of the suffixes.
    """
    if not folder.is_dir():
        raise MissingError(f"{folder} is not a folder.")
    images, others = [], []
    for path in _list_files(folder, (), recursive=recursive):
        if path.suffix.lower() in suffixes:
            images.append(path)
        elif _is_visual(path):
            others.append(path)
    if not images:
        raise MissingError(
            f"{folder} holds no image: it must hold files that end in one of {', '.join(sorted(suffixes))}."
        )
    return sorted(images), sorted(others)


def _list_files(
    folder: pathlib.Path, around: tuple[str, ...], *, recursive: bool
) -> Iterator[pathlib.Path]:
    """Yields the files of a folder that are not hidden; links to the folders `around` it are not entered."""
    place = os.path.realpath(folder)
    if place in around:
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif recursive and path.is_dir():
            yield from _list_files(path, (*around, place), recursive=True)


def _list_read_only() -> list[str]:
    """Returns the suffixes of `READ_ONLY` whose reader is installed."""
    has_heif = importlib.util.find_spec("pillow_heif") is not None
    return [suffix for suffix, kind in READ_ONLY.items() if kind != "HEIF" or has_heif]


_IMAGES = (*READ_ONLY, ".apng", ".avifs", ".jp2", ".jxl")
_VIDEOS = (".m2ts", ".mkv", ".mts", ".ts", ".webm")
"""Suffixes of images and videos that Python's table of them lacks in some release."""


def is_video_name(path: str | os.PathLike[str]) -> bool:
    """Returns whether the suffix of a path is that of a video."""
    kind, _ = mimetypes.guess_type(pathlib.Path(path).name)
    return pathlib.Path(path).suffix.lower() in _VIDEOS or (kind or "").startswith("video/")


def _is_visual(path: pathlib.Path) -> bool:
    kind, _ = mimetypes.guess_type(path.name)
    is_image = path.suffix.lower() in _IMAGES or (kind or "").startswith("image/")
    return is_image or is_video_name(path)


@contextlib.contextmanager
def open_image(
    path: str | os.PathLike[str] | bytes,
) -> Iterator[tuple[ImageFile.ImageFile, str]]:
    """Yields the opened file, of which no pixel is decoded yet, and its name for messages.

    Whatever is raised while the block decodes it becomes an `InputError`.

    Raises:
        InputError: the file is missing, damaged or of another format, or too short for what its header says.
    """
    name = f"an image of {len(path)} bytes" if isinstance(path, bytes) else os.fspath(path)
    if not isinstance(path, bytes) and not pathlib.Path(path).is_file():
        raise InputError(f"{name} is not a file.")
    content = io.BytesIO(path) if isinstance(path, bytes) else path
    formats = {*FORMATS.values(), "GIF"}
    try:
        if _is_heif(path):
            with require_extra("heic", f"{name} is a HEIF file"):
                import pillow_heif
            pillow_heif.register_heif_opener()
            formats.add("HEIF")
        with Image.open(content, formats=sorted(formats)) as file:
            length = len(path) if isinstance(path, bytes) else pathlib.Path(path).stat().st_size
            _check_length(file, name, length)
            check_memory(name, (file.height, file.width))
            yield file, name
            if file.format in _JPEG and not file.tile:  # its pixels were decoded
                data = path if isinstance(path, bytes) else pathlib.Path(path).read_bytes()
                if is_cut(data, file):
                    raise InputError(
                        f"{name} is cut short: pixels are missing at its end, before its end marker."
                    )
    except (MemoryError, InputError):
        raise
    except UnidentifiedImageError as error:
        kinds = ", ".join(sorted(formats))
        raise InputError(
            f"{name} can't be read as an image: it must be an undamaged file of {kinds}."
        ) from error
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        raise InputError(f"{name} can't be read as an image: {error}") from error


def list_animation_frames(file: ImageFile.ImageFile) -> range:
    """Returns the places of an animation's frames in its opened file; none where the file is no animation."""
    count = getattr(file, "n_frames", 1)
    if count == 1 or file.format not in _ANIMATED:
        return range(0)
    # A PNG file may have an image for viewers without animation before its frames.
    return range(int(getattr(file, "default_image", False) is True), count)


def _is_heif(path: str | os.PathLike[str] | bytes) -> bool:
    """Returns whether a file says that it is HEIF, and not also AVIF, which Pillow reads."""
    if isinstance(path, bytes):
        head = path[:_BRANDS]
    else:
        with open(path, "rb") as file:
            head = file.read(_BRANDS)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF and b"avif" not in head


def _check_length(file: Image.Image, name: str, length: int) -> None:
    """Checks that a file of `length` bytes can hold its pixels.

    JPEG takes a bit or more for each block of 8×8 (decoders fill in grey for those that are not there),
    PNG's compression has a bound, and a TIFF file says where each of its strips or tiles is (decoders leave
    those black that are not there).

    Raises:
        InputError: it cannot.
    """
    if isinstance(file, TiffImagePlugin.TiffImageFile):
        found, needed = count_strips(file)
        if found < needed:
            raise InputError(
                f"{name} says where {found:,} of its {needed:,} strips are: it is damaged or cut short."
            )
        return
    if file.format in _JPEG:
        least = -(-file.width // 8) * -(-file.height // 8) / 8
    elif file.format == "PNG":
        least = file.width * file.height * _BITS.get(file.mode, 1) / 8 / _DEFLATE
    else:
        return
    if length < least:
        raise InputError(
            f"{name} has {length} bytes, too few for the {file.width}×{file.height} pixels that its header "
            "promises: it is damaged or cut short."
        )


def check_memory(name: str, size: tuple[int, int]) -> None:
    """Checks that the machine's memory can hold the image `name` of `size`, height and width.

    Raises:
        InputError: it has less than 4 bytes for each pixel.
    """
    needed, there = 4 * size[0] * size[1], _count_memory()
    if there is not None and needed > there:
        raise InputError(
            f"{name} would take {needed / 1e9:.0f} GB for its {size[1]}×{size[0]} pixels, of the "
            f"{there / 1e9:.0f} GB of this machine."
        )


def _count_memory() -> int | None:
    """Returns the bytes of the machine's memory, where the system tells them."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def read_image_size(path: str | os.PathLike[str] | bytes) -> tuple[int, int]:
    """Returns the height and the width of the array that `read_image` returns, from the header alone.

    Raises:
        InputError: see `read_image`; damage behind the header is not found.
    """
    with open_image(path) as (file, _):
        height, width = file.height, file.width
        if isinstance(file, TiffImagePlugin.TiffImageFile):
            # Later releases of Pillow give the sides of the upright image.
            height, width = read_sides(file)
        on_its_side = _read_exif(file, path).get(ExifTags.Base.Orientation, 1) >= 5
    return (width, height) if on_its_side else (height, width)


def _read_exif(file: Image.Image, path: str | os.PathLike[str] | bytes) -> Image.Exif:
    """Returns `file.getexif()`, which would decode every PNG that has no EXIF before its pixels."""
    if isinstance(file, PngImagePlugin.PngImageFile):
        with io.BytesIO(path) if isinstance(path, bytes) else open(path, "rb") as raw:
            if not _has_metadata_after_pixels(raw):
                return Image.Image.getexif(file)
    return file.getexif()


def _has_metadata_after_pixels(raw: BinaryIO) -> bool:
    """Returns whether a PNG file has metadata behind its first pixels (PNG specification, 5.3)."""
    raw.seek(8)
    pixels = False
    while len(header := raw.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        pixels |= kind == b"IDAT"
        if pixels and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
            return True
        raw.seek(length + 4, io.SEEK_CUR)
    return False
