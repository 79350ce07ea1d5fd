"""What is kept of photos beside 8-bit colours: 16 bits, transparency, metadata."""

import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, TiffImagePlugin

from sesr_jax.data import Photo, read_image, read_photo, spread_colours, write_image, write_photo
from sesr_jax.errors import InputError

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>K\xc3\xb6ln</x:xmpmeta>"


def codes(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def write_png(path, samples, bits, colour_type, chunks=()):
    """Writes a PNG file of any depth; `samples` are integers [H, W, C]."""
    height, width = samples.shape[:2]
    if bits == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        low = samples.reshape(height, -1, 1).astype(np.uint8)
        rows = np.packbits(np.unpackbits(low, axis=-1)[..., -bits:].reshape(height, -1), axis=-1)
    content = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in ((b"IHDR", header), *chunks, (b"IDAT", content), (b"IEND", b""))
        )
    )


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (130, 3, 3), (1, 1)])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_sixteen_bits_of_a_png_come_back(tmp_path, shape, with_alpha):
    alpha = codes(*shape[:2], dtype=np.uint16) if with_alpha else None
    photo = Photo(pixels=codes(*shape, dtype=np.uint16), alpha=alpha)
    write_photo(tmp_path / "a.png", photo)
    with Image.open(tmp_path / "a.png") as file:
        file.load()
    back = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(back.pixels, photo.pixels)
    if with_alpha:
        np.testing.assert_array_equal(back.alpha, alpha)
    else:
        assert back.alpha is None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_sixteen_bits_of_a_tiff_are_read(tmp_path, order, compression):
    """RGB, which Pillow does not write: the tags of a grey image three times as wide are changed."""
    want = codes(6, 5, 3, dtype=np.uint16)
    Image.fromarray(want.reshape(6, 15)).save(tmp_path / "grey.tif", compression=compression)
    with Image.open(tmp_path / "grey.tif") as file:
        strips = [file.tag_v2[tag] for tag in (TiffImagePlugin.STRIPOFFSETS, 279)]
    content = (tmp_path / "grey.tif").read_bytes()
    body = b"".join(content[at : at + size] for at, size in zip(*strips, strict=True))
    if compression:
        body = zlib.decompress(body)
    body = np.frombuffer(body, "<u2").astype(order + "u2").tobytes()
    if compression:
        body = zlib.compress(body)
    tags = [(256, 5), (257, 6), (258, 16), (259, 8 if compression else 1), (262, 2), (273, 8)]
    tags += [(277, 3), (278, 6), (279, len(body))]
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    entries = entries.replace(
        struct.pack(order + "HHII", 258, 4, 1, 16),
        struct.pack(order + "HHII", 258, 3, 3, 8 + len(body)),
    )
    (tmp_path / "a.tif").write_bytes(
        (b"II*\0" if order == "<" else b"MM\0*")
        + struct.pack(order + "I", 14 + len(body))
        + body
        + struct.pack(order + "HHHH", 16, 16, 16, len(tags))
        + entries
        + bytes(4)
    )
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").pixels, want)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), want >> 8)


@pytest.mark.parametrize("shape", [(9, 7), (131, 7, 3)])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_sixteen_bits_of_a_tiff_come_back(tmp_path, shape, with_alpha):
    alpha = codes(*shape[:2], dtype=np.uint16) if with_alpha else None
    photo = Photo(pixels=codes(*shape, dtype=np.uint16), alpha=alpha)
    write_photo(tmp_path / "a.tif", photo)
    back = read_photo(tmp_path / "a.tif")
    assert not back.metadata
    want = photo.pixels
    if with_alpha:
        np.testing.assert_array_equal(back.alpha, alpha)
        want = want if want.ndim == 3 else np.dstack([want] * 3)
    np.testing.assert_array_equal(back.pixels, want)


@pytest.mark.parametrize("suffix", [".bmp", ".webp"])
def test_formats_of_8_bits_get_the_nearest_codes(tmp_path, caplog, suffix):
    deep = np.arange(0, 65536, 7, np.uint16).reshape(-1, 3)[None].repeat(2, 0)
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        write_image(tmp_path / f"a{suffix}", deep)
    assert "half of the 16 bits is dropped" in caplog.text
    back = read_photo(tmp_path / f"a{suffix}").pixels
    np.testing.assert_array_equal(back, np.floor(deep / 257 + 0.5))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("colour_type", [0, 2])
def test_the_colour_that_a_png_makes_transparent(tmp_path, bits, colour_type):
    if colour_type == 2 and bits < 8:
        return
    samples = np.arange(12).reshape(3, 4, 1) % 2**bits * np.ones(3 if colour_type else 1, int)
    if bits == 16:
        samples = samples * 4000 + np.array([1, 2, 3][: samples.shape[-1]])
    key = samples[0, 1]
    chunks = [(b"tRNS", struct.pack(f">{len(key)}H", *key))]
    write_png(tmp_path / "a.png", samples, bits, colour_type, chunks)
    alpha = read_photo(tmp_path / "a.png").alpha
    shown = ~(samples == key).all(-1)
    np.testing.assert_array_equal(alpha, shown * np.iinfo(alpha.dtype).max)


def test_hidden_colours_do_not_matter():
    distance = np.hypot(*np.mgrid[-20:20, -20:23])
    visible = distance < 13
    alpha = visible * np.uint8(255)
    smooth = np.dstack([np.linspace(40, 200, 40 * 43).reshape(40, 43)] * 3).astype(np.uint8)
    noise = np.where(visible[..., None], smooth, codes(40, 43, 3))
    black = np.where(visible[..., None], smooth, 0).astype(np.uint8)
    for rest in (noise, black):
        spread = spread_colours(rest, alpha)
        np.testing.assert_array_equal(spread[visible], smooth[visible])
        np.testing.assert_array_equal(spread, spread_colours(black, alpha))
        apart = np.abs(spread.astype(int) - smooth)
        assert apart[distance < 16].max() < 40  # where rows differ by 4
    deep = spread_colours(black * np.uint16(257), alpha * np.uint16(257))
    np.testing.assert_array_equal(deep, spread_colours(black, alpha) * np.uint16(257))
    grey = spread_colours(black[..., 0], alpha)
    assert np.abs(grey.astype(int) - spread[..., 0]).max() <= 1
    np.testing.assert_array_equal(spread_colours(noise, np.zeros_like(alpha)), noise)


def _write_with_all(path):
    """Writes a file with all metadata that its format holds, and returns their names."""
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "a camera"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.FNumber: TiffImagePlugin.IFDRational(28, 10)}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    options = {"dpi": (300, 300)}
    if path.suffix != ".bmp":
        options |= {"icc_profile": PROFILE, "exif": exif}
    if path.suffix in (".jpg", ".webp", ".avif"):
        options["xmp"] = XMP
    if path.suffix == ".jpg":
        options["comment"] = b"hello"
    if path.suffix == ".tif":
        again = Image.Exif()
        again.load(exif.tobytes())
        options["exif"] = exif = again
        exif[700] = XMP
        exif[ExifTags.Base.ImageDescription] = "hello"
    if path.suffix == ".png":
        options["pnginfo"] = texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        texts.add_text("Comment", "hello")
        texts.add_text("Author", "Zoë")
        texts.add(b"gAMA", struct.pack(">I", 100000))
        texts.add(b"cICP", bytes([9, 16, 0, 1]))
    Image.fromarray(codes(6, 5, 3)).save(path, **options)


_HOLD = {
    ".avif": {"icc_profile", "exif", "xmp"},
    ".bmp": {"dpi"},
    ".jpg": {"icc_profile", "exif", "xmp", "comment", "dpi"},
    ".png": {"icc_profile", "exif", "xmp", "comment", "dpi", "text", "colour_chunks"},
    ".tif": {"icc_profile", "exif", "xmp", "dpi"},
    ".webp": {"icc_profile", "exif", "xmp"},
}
_SAID = {
    "icc_profile": "profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "comment": "comment",
    "dpi": "resolution",
    "text": "text",
    "colour_chunks": "meaning",
}


@pytest.mark.parametrize("target", sorted(_HOLD))
@pytest.mark.parametrize("source", sorted(_HOLD))
def test_metadata_are_kept_or_their_loss_is_said(tmp_path, caplog, source, target):
    _write_with_all(tmp_path / f"a{source}")
    before = read_photo(tmp_path / f"a{source}")
    assert set(before.metadata) == _HOLD[source]
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        write_photo(tmp_path / f"b{target}", before)
    after = read_photo(tmp_path / f"b{target}").metadata
    kept = _HOLD[source] & (_HOLD[target] | ({"comment"} if target == ".tif" else set()))
    lost = _HOLD[source] - kept
    for key in kept - {"exif", "dpi"} - ({"comment"} if target == ".tif" else set()):
        assert after[key] == before.metadata[key], key
    assert len(caplog.records) == bool(lost)
    assert {key for key in _SAID if _SAID[key] in caplog.text} == lost
    if "dpi" in kept:
        assert np.allclose(after["dpi"], 300, atol=0.05)
    if "exif" in kept:
        tags = Image.Exif()
        tags.load(after["exif"])
        assert tags[ExifTags.Base.Model] == "a camera"
        assert float(tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber]) == 2.8
        assert tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert (ExifTags.Base.ImageDescription in tags) == (
            source == ".tif" or (target == ".tif" and "comment" in kept)
        )


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_metadata_of_sixteen_bits(tmp_path, suffix):
    """They are those of 8 bits, which Pillow writes."""
    _write_with_all(tmp_path / f"a{suffix}")
    before = read_photo(tmp_path / f"a{suffix}").metadata
    found = []
    for dtype in (np.uint8, np.uint16):
        write_photo(
            tmp_path / f"b{suffix}", Photo(pixels=codes(6, 5, 3, dtype=dtype), metadata=before)
        )
        found.append(dict(read_photo(tmp_path / f"b{suffix}").metadata))
        assert set(found[-1]) == set(before)
        assert np.allclose(found[-1].pop("dpi"), 300, atol=0.05)
    tags = [Image.Exif(), Image.Exif()]
    for one, metadata in zip(tags, found, strict=True):
        one.load(metadata.pop("exif"))
    assert found[0] == found[1]
    assert [dict(one) | {1: one.get_ifd(34665), 2: one.get_ifd(34853)} for one in tags[:1]] == [
        dict(one) | {1: one.get_ifd(34665), 2: one.get_ifd(34853)} for one in tags[1:]
    ]


def test_what_is_assumed_anyway_is_not_missed(tmp_path, caplog):
    """The resolution of screens, and colours that are sRGB."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 45455))
    Image.fromarray(codes(6, 5, 3)).save(tmp_path / "a.png", pnginfo=chunks, dpi=(72, 72))
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        write_photo(tmp_path / "b.webp", read_photo(tmp_path / "a.png"))
    assert not caplog.records


def test_metadata_that_are_too_long_for_a_jpeg_are_dropped(tmp_path, caplog):
    photo = Photo(pixels=codes(6, 5, 3), metadata={"xmp": bytes(70_000), "comment": b"x" * 70_000})
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        write_photo(tmp_path / "a.jpg", photo)
    assert "XMP and the comment are dropped" in caplog.text


def _profile_of_inks():
    """An ICC profile of CMYK in which only yellow counts: L* = 100 - 50 · yellow (ICC.1, lut8Type)."""
    grid = np.zeros((2, 2, 2, 2, 3), np.uint8)
    grid[..., 0, 0], grid[..., 1, :] = 255, (128, 128, 128)
    grid[..., 0, 1:] = 128
    grid = np.swapaxes(grid, 2, 3)
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * n for n in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + grid.tobytes() + ramp * 3
    text = b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(79)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags, body, at = [], b"", 128 + 4 + 4 * 12
    for name, data in ((b"A2B0", lut), (b"desc", text), (b"wtpt", white), (b"cprt", text)):
        data += bytes(-len(data) % 4)
        tags.append(name + struct.pack(">II", at + len(body), len(data)))
        body += data
    header = struct.pack(">I", at + len(body)) + b"lcms" + b"\x02\x40\0\0" + b"prtrCMYKLab "
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", 4) + b"".join(tags) + body


def test_inks_become_srgb_by_their_profile(tmp_path, caplog):
    """Only yellow counts in this one, and makes grey; by Pillow's own formulas all inks have colours."""
    inks = np.zeros((4, 4, 4), np.uint8)
    inks[..., 0] = [0, 255, 0, 255]
    inks[2:, :, 2] = 255
    image = Image.fromarray(inks, "CMYK")
    image.save(tmp_path / "a.tif", icc_profile=_profile_of_inks())
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        photo = read_photo(tmp_path / "a.tif")
    assert not caplog.records
    assert "icc_profile" not in photo.metadata
    assert np.abs(photo.pixels[:2].astype(int) - 255).max() <= 3
    assert np.abs(photo.pixels[2:].astype(int) - 119).max() <= 6  # L* = 50
    image.save(tmp_path / "a.tif", icc_profile=PROFILE)
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        assert "icc_profile" not in read_photo(tmp_path / "a.tif").metadata
    assert "profile" in caplog.text


def test_sixteen_bits_keep_their_profile(tmp_path):
    Image.fromarray(codes(4, 5, dtype=np.uint16)).save(tmp_path / "a.png", icc_profile=PROFILE)
    assert read_photo(tmp_path / "a.png").metadata["icc_profile"] == PROFILE


def test_arrays_that_are_no_image(tmp_path):
    with pytest.raises(InputError, match="int32"):
        write_image(tmp_path / "a.png", np.zeros((4, 4), np.int32))
