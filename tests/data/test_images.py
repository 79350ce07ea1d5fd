"""Round trips by format, the rules for unusual pixels, and damaged files."""

import logging
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from sesr_jax.data import image_files
from sesr_jax.data.image_files import FORMATS, list_images, read_image_size, search_folder
from sesr_jax.data.images import read_image
from sesr_jax.data.photos import check_output, read_photo, write_image
from sesr_jax.errors import InputError

LOSSLESS = [".png", ".bmp", ".tif", ".tiff", ".webp"]


def picture(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def smooth(*shape):
    ramp = np.linspace(0, 200, shape[0] * shape[1]).reshape(shape[:2]).astype(np.uint8)
    return ramp if len(shape) == 2 else np.stack([ramp, 255 - ramp, ramp // 2], axis=-1)


@pytest.mark.parametrize("suffix", [*LOSSLESS, ".PNG"])
@pytest.mark.parametrize("shape", [(13, 17, 3), (13, 17), (1, 1, 3)])
def test_lossless_round_trip(tmp_path, suffix, shape):
    image = picture(*shape)
    write_image(tmp_path / f"a{suffix}", image)
    back = read_image(tmp_path / f"a{suffix}")
    if suffix == ".webp" and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
@pytest.mark.parametrize("shape", [(40, 56, 3), (40, 56)])
def test_jpeg_round_trip_is_close(tmp_path, suffix, shape):
    image = smooth(*shape)
    write_image(tmp_path / f"a{suffix}", image)
    back = read_image(tmp_path / f"a{suffix}")
    assert back.shape == shape
    assert np.abs(back.astype(int) - image).max() <= 8


def test_a_write_leaves_just_the_file_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, picture(4, 4))
    write_image(path, picture(5, 5))
    assert read_image(path).shape == (5, 5)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.webp"
    write_image(path, picture(4, 4, 3))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"a\.webp .*WEBP"):
        write_image(path, np.zeros((1, 16384, 3), np.uint8))  # WebP ends at 16383
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "image", "named"),
    [
        ("a.gif", picture(4, 4), r"a\.gif .*\.png"),
        ("a", picture(4, 4), r"/a .*\.png"),
        ("a.png", np.zeros((4, 4)), "float64"),
        ("a.png", picture(4, 4, 4), r"\[4, 4, 4\]"),
        ("a.png", picture(4), r"\[4\]"),
        ("a.png", picture(0, 4), r"\[0, 4\]"),
    ],
)
def test_bad_writes(tmp_path, name, image, named):
    with pytest.raises(InputError, match=named):
        write_image(tmp_path / name, image)
    assert not list(tmp_path.iterdir())


def test_missing_folders_are_made_where_they_can_be(tmp_path):
    write_image(tmp_path / "new" / "a.png", picture(4, 4))
    assert read_image(tmp_path / "new" / "a.png").shape == (4, 4)
    with pytest.raises(InputError, match=r"a\.png"):
        write_image(tmp_path / "new" / "a.png" / "b.png", picture(4, 4))


def test_missing(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(InputError, match=f"^{path} "):
            read_image(path)


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_cut_short(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, picture(64, 64, 3))
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"a{suffix} "):
            read_image(path)


def test_corrupt_or_another_kind_of_file(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, picture(64, 64, 3))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    for content in (bytes(damaged), b"text, no image"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.png "):
            read_image(path)
    Image.fromarray(picture(4, 4)).save(path, "PPM")
    with pytest.raises(InputError, match=r"a\.png .*PNG"):
        read_image(path)


def _say_another_size(content, width, height):
    """The bytes of a JPEG or PNG file whose header has another size."""
    if content.startswith(b"\x89PNG"):
        header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("read", [read_image, read_photo, read_image_size])
def test_a_header_that_promises_more_than_the_file_holds(tmp_path, suffix, read):
    write_image(tmp_path / f"a{suffix}", smooth(8, 8, 3))
    content = (tmp_path / f"a{suffix}").read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(_say_another_size(content, 8000, 9000))
    with pytest.raises(InputError, match=rf"a\{suffix} has {len(content)} bytes.* 8000×9000"):
        read(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("read", [read_image, read_photo])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"mode": "L"}, {"subsampling": 0}],
)
def test_a_jpeg_that_ends_with_its_marker_too_early_is_refused(tmp_path, share, read, options):
    """Decoders fill in grey for what is missing, without a word."""
    mode = options.get("mode", "RGB")
    Image.fromarray(picture(65, 93, 3)).convert(mode).save(tmp_path / "a.jpg", **options)
    content = (tmp_path / "a.jpg").read_bytes()
    read(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(content[:-2] + b"what other programs append" + content[-2:])
    read(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(content[: int(share * len(content))] + content[-2:])
    with pytest.raises(InputError, match=r"a\.jpg is cut short"):
        read(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA"])
def test_an_image_of_one_colour_takes_few_bytes_and_is_no_lie(tmp_path, suffix, mode):
    if suffix == ".jpg":
        mode = mode.rstrip("A").replace("1", "L")
    for options in ({"optimize": True}, {"progressive": True, "quality": 1}):
        Image.new(mode, (1999, 500)).save(tmp_path / f"a{suffix}", **options)
        assert read_photo(tmp_path / f"a{suffix}").pixels.shape[:2] == (500, 1999)


def test_more_pixels_than_memory_are_refused_before_it_is_taken(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", picture(40, 50, 3))
    monkeypatch.setattr(image_files, "_count_memory", lambda: 4 * 40 * 50)
    read_image(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"b\.png .* 51×40 "):
        check_output(tmp_path / "b.png", (40, 51))
    monkeypatch.setattr(image_files, "_count_memory", lambda: 4 * 40 * 50 - 1)
    with pytest.raises(InputError, match=r"a\.png .* 50×40 "):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_dropped_with_a_warning(tmp_path, caplog, mode, suffix):
    path = tmp_path / f"a{suffix}"
    pixels = picture(6, 5, len(mode))
    Image.fromarray(pixels).save(path)
    with caplog.at_level(logging.WARNING, logger="absl"):
        image = read_image(path)
    np.testing.assert_array_equal(image, pixels[..., :3] if mode == "RGBA" else pixels[..., 0])
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} has an alpha channel, which is dropped."
    ]


def test_no_warning_without_alpha(tmp_path, caplog):
    write_image(tmp_path / "a.png", picture(4, 4, 3))
    with caplog.at_level(logging.WARNING, logger="absl"):
        read_image(tmp_path / "a.png")
    assert not caplog.records


@pytest.mark.parametrize("transparency", [None, 0, bytes([0, 128, 255])])
def test_a_palette_becomes_rgb(tmp_path, transparency):
    colours = np.uint8([[255, 0, 0], [0, 255, 0], [9, 8, 7]])
    indices = np.uint8([[0, 1, 2], [2, 1, 0]])
    image = Image.frombytes("P", (3, 2), indices.tobytes())
    image.putpalette(colours.tobytes())
    options = {} if transparency is None else {"transparency": transparency}
    image.save(tmp_path / "a.png", **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), colours[indices])


def test_one_bit(tmp_path):
    bits = np.array([[True, False], [False, True]])
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), bits * np.uint8(255))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_keeps_its_high_byte(tmp_path, suffix):
    codes = picture(8, 9)
    Image.fromarray(codes.astype(np.uint16) * 257).save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), codes)


def test_16_bit_rgb_keeps_its_high_byte(tmp_path):
    codes = picture(8, 9, 3)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in codes.astype(np.uint16) * 257)
    header = struct.pack(">IIBBBBB", 9, 8, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), codes)


def test_float_samples(tmp_path):
    codes = picture(6, 7)
    path = tmp_path / "a.tif"
    Image.fromarray(codes.astype(np.float32) / 255).save(path)
    np.testing.assert_array_equal(read_image(path), codes)
    for wrong in (2.0, -0.5, np.nan):
        Image.fromarray(np.float32([[0.5, wrong]])).save(path)
        with pytest.raises(InputError, match=rf"a\.tif .*{wrong}"):
            read_image(path)


def test_a_tiff_that_lacks_strips_is_refused(tmp_path):
    """Its header promises a million rows, of which the decoder would leave all but twelve black."""
    Image.new("RGB", (16, 12), "white").save(tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    rows = struct.pack("<HHII", 257, 4, 1, 12)
    assert rows in content
    (tmp_path / "a.tif").write_bytes(
        content.replace(rows, struct.pack("<HHII", 257, 4, 1, 1_000_012))
    )
    with pytest.raises(InputError, match=r"a\.tif .*1 of its 83,335 strips"):
        read_image(tmp_path / "a.tif")


def test_a_tiff_that_lacks_tiles_is_refused(tmp_path):
    """It has two of 16×16 for an image of 20×12."""
    for found in (2, 1):
        directory = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in (
            *((ExifTags.Base.ImageWidth, 20), (ExifTags.Base.ImageLength, 12)),
            *((ExifTags.Base.BitsPerSample, 8), (ExifTags.Base.PhotometricInterpretation, 1)),
            *((ExifTags.Base.TileWidth, 16), (ExifTags.Base.TileLength, 16)),
            (ExifTags.Base.TileOffsets, (8,) * found),
            (ExifTags.Base.TileByteCounts, (256,) * found),
        ):
            directory[tag] = value
        header = struct.pack("<2sHI", b"II", 42, 8 + 256)
        (tmp_path / "a.tif").write_bytes(header + bytes([200]) * 256 + directory.tobytes(264))
        if found == 2:
            np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.full((12, 20), 200))
    with pytest.raises(InputError, match=r"a\.tif .*1 of its 2 strips"):
        read_image(tmp_path / "a.tif")


def test_cmyk(tmp_path):
    ink = np.zeros((2, 2, 4), np.uint8)
    ink[0, 0] = [0, 255, 255, 0]  # magenta and yellow make red
    Image.frombytes("CMYK", (2, 2), ink.tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif"), [[[255, 0, 0], [255] * 3], [[255] * 3, [255] * 3]]
    )


@pytest.mark.parametrize("mode", ["I", "LAB"])
def test_other_pixels_are_refused(tmp_path, mode):
    Image.new(mode, (2, 2)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=rf"a\.tif .* {mode}:"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_exif_orientation_is_applied(tmp_path, suffix):
    stored = picture(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns it by 90° clockwise
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(stored).save(tmp_path / f"a{suffix}", exif=exif, **options)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), np.rot90(stored, -1))


def test_list_images(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "deep/c.webp", ".cache/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert list_images(tmp_path) == [tmp_path / "a.JPG", tmp_path / "b.png"]
    assert list_images(str(tmp_path), recursive=True) == [
        tmp_path / "a.JPG",
        tmp_path / "b.png",
        tmp_path / "deep" / "c.webp",
    ]


def test_list_images_refuses_nothing_to_list(tmp_path):
    with pytest.raises(InputError, match="/none "):
        list_images(tmp_path / "none")
    with pytest.raises(InputError, match=rf"{tmp_path} .*\.png"):
        list_images(tmp_path)


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp"])
def test_the_size_from_the_header_is_that_of_the_image(tmp_path, suffix, orientation):
    path, exif = tmp_path / f"a{suffix}", Image.Exif()
    if orientation:
        exif[ExifTags.Base.Orientation] = orientation
    options = {"exif": exif} if suffix != ".bmp" else {}
    Image.fromarray(picture(4, 6, 3)).save(path, **options)
    assert read_image_size(path) == read_image_size(path.read_bytes()) == read_image(path).shape[:2]


def test_metadata_behind_the_pixels_of_a_png_count_and_pixels_are_not_decoded(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(picture(4, 6, 3)).save(tmp_path / "a.png")
    data, body = (tmp_path / "a.png").read_bytes(), exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body
    turned = data[:-12] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + data[-12:]
    (tmp_path / "b.png").write_bytes(turned)
    assert read_image_size(tmp_path / "b.png") == read_image(tmp_path / "b.png").shape[:2] == (6, 4)
    start = data.index(b"IDAT") + 4
    (tmp_path / "c.png").write_bytes(data[:start] + bytes(len(data) - start))
    assert read_image_size(tmp_path / "c.png") == (4, 6)


def test_heif_is_read_where_its_extra_is_installed(tmp_path):
    """By its content: phones call such files .jpg too."""
    heif = pytest.importorskip("pillow_heif")
    grey = np.add.outer(np.arange(40) * 3, np.arange(60) * 2).astype(np.uint8)
    heif.from_pillow(Image.fromarray(np.dstack([grey] * 3))).save(tmp_path / "a.heic", quality=95)
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.heic").read_bytes())
    for name in ("a.heic", "b.jpg"):
        assert np.abs(read_image(tmp_path / name).astype(int) - grey[..., None]).max() < 6
    assert search_folder(tmp_path)[0] == [tmp_path / "a.heic", tmp_path / "b.jpg"]


def test_heif_names_its_extra_where_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "b.jpg").write_bytes(bytes(4) + b"ftypmif1" + bytes(4) + b"mif1avif" + bytes(9))
    with pytest.raises(InputError, match=r"b\.jpg can't be read as an image"):
        read_image(tmp_path / "b.jpg")
    (tmp_path / "a.jpg").write_bytes(bytes(4) + b"ftypheic" + bytes(20))
    with pytest.raises(InputError, match=r"a\.jpg is a HEIF file: .*sesr_jax\[heic\]"):
        read_image(tmp_path / "a.jpg")
