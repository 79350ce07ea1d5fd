"""Image files: what of them is kept, and what is refused before the work."""

import logging
import os

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from sesr_jax.data import imresize, read_animation, read_photo, write_image, write_photo
from sesr_jax.errors import InputError
from sesr_jax.upscale import bicubic_upscaler, match_images, upscale_image, upscale_photo

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def codes(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_is_upscaled_bicubically(tmp_path, mode, suffix):
    pixels = np.maximum(codes(9, 7, len(mode)), 1)  # nothing is hidden
    Image.fromarray(pixels, mode=None).save(tmp_path / "a.png")
    done = upscale_image(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / f"b{suffix}")
    assert (done.input_size, done.output_size) == ((9, 7), (18, 14))
    large = read_photo(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(large.alpha, upscale_photo(bicubic_upscaler(2), pixels[..., -1]))
    colours = upscale_photo(
        bicubic_upscaler(2), pixels[..., :3] if mode == "RGBA" else pixels[..., 0]
    )
    if suffix == ".webp" and mode == "LA":  # it has no grey
        colours = np.repeat(colours[..., None], 3, axis=-1)
    seen = large.alpha > 0  # WebP does not keep colours that nobody sees
    np.testing.assert_array_equal(large.pixels[seen], colours[seen])


@pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255])])
def test_alpha_of_a_palette(tmp_path, transparency):
    image = Image.frombytes("P", (3, 2), bytes([0, 1, 2, 2, 1, 0]))
    image.putpalette(bytes([255, 0, 0, 0, 255, 0, 9, 8, 7]))
    image.save(tmp_path / "a.png", transparency=transparency)
    steps = [0, 255, 255] if transparency == 0 else list(transparency)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png").alpha, [steps, steps[::-1]])


def test_what_lies_under_transparent_pixels_makes_no_ring(tmp_path):
    alpha = np.pad(np.full((8, 8), 255, np.uint8), 6)
    found = []
    for hidden in (0, 200):
        colours = np.where(alpha[..., None], np.uint8([200, 30, 30]), np.uint8(hidden))
        Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "a.png")
        upscale_image(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / "b.png")
        found.append(read_photo(tmp_path / "b.png").pixels)
    np.testing.assert_array_equal(*found)
    assert np.abs(found[0].astype(int) - [200, 30, 30]).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_upscaled_as_such(tmp_path, suffix, channels):
    """A slope that 8 bits would make steps of."""
    slope = np.linspace(20_000, 20_900, 12 * 16).reshape(12, 16).astype(np.uint16)
    shown = slope if channels == 1 else np.dstack([slope, slope[::-1], 60_000 - slope])
    write_image(tmp_path / "a.png", shown)
    upscale_image(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / f"b{suffix}")
    large = read_photo(tmp_path / f"b{suffix}").pixels
    assert np.abs(large - imresize(shown.astype(float), 2)).max() < 1.5


def test_a_format_without_alpha_says_that_it_is_dropped(tmp_path, caplog):
    Image.fromarray(codes(6, 5, 4)).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        upscale_image(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / "b.jpg")
    assert "alpha is dropped" in caplog.text
    assert read_photo(tmp_path / "b.jpg").alpha is None


@pytest.mark.parametrize("target", ["b.jpg", "b.png", "b.webp", "b.tif"])
@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.webp"])
def test_profile_and_exif_are_kept_and_the_orientation_is_applied(tmp_path, source, target):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Model] = "a camera"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.ExifImageWidth] = 7
    details[ExifTags.Base.DateTimeOriginal] = "2026:01:02 03:04:05"
    Image.fromarray(codes(9, 7, 3)).save(tmp_path / source, exif=exif, icc_profile=PROFILE)
    upscale_image(bicubic_upscaler(2), tmp_path / source, tmp_path / target)
    with Image.open(tmp_path / target) as large:
        assert large.size == (18, 14)
        assert large.info["icc_profile"] == PROFILE
        if target == "b.tif":
            return
        kept = large.getexif()
        assert kept[ExifTags.Base.Model] == "a camera"
        assert kept.get(ExifTags.Base.Orientation, 1) == 1
        details = kept.get_ifd(ExifTags.IFD.Exif)
        assert details[ExifTags.Base.DateTimeOriginal] == "2026:01:02 03:04:05"
        assert ExifTags.Base.ExifImageWidth not in details


def test_the_profile_of_inks_is_not_that_of_the_rgb_made_of_them(tmp_path):
    Image.fromarray(codes(6, 5, 4), "CMYK").save(tmp_path / "a.jpg", icc_profile=PROFILE)
    assert not read_photo(tmp_path / "a.jpg").metadata


def test_a_bmp_has_pixels_alone(tmp_path):
    Image.fromarray(codes(6, 5, 3)).save(tmp_path / "a.png", icc_profile=PROFILE)
    upscale_image(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / "b.bmp")
    assert not read_photo(tmp_path / "b.bmp").metadata


def _never(done, total):
    raise AssertionError("the work was begun")


def test_the_image_itself_is_no_place_to_write(tmp_path):
    write_image(tmp_path / "a.png", codes(6, 5, 3))
    os.symlink(tmp_path / "a.png", tmp_path / "b.png")
    before = (tmp_path / "a.png").read_bytes()
    for name in ("a.png", "b.png"):
        with pytest.raises(InputError, match=f"a.png|{name}"):
            upscale_image(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / name, progress=_never)
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("b.webp", "16400×4 .* 16383"),
        ("b.gif", r"b\.gif"),
        ("a.png/b.png", r"a\.png/b\.png"),
        ("folder.png", r"folder\.png"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, target, message):
    write_image(tmp_path / "a.png", codes(2, 8200))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=message):
        upscale_image(bicubic_upscaler(2), tmp_path / "a.png", tmp_path / target, progress=_never)
    assert {file.name for file in tmp_path.iterdir()} == {"a.png", "folder.png"}


def test_images_of_a_folder_keep_their_places(tmp_path):
    for name in ("a.png", "in/b.jpg"):
        write_image(tmp_path / "from" / name, codes(6, 5, 3))
    (tmp_path / "from" / "notes.txt").write_text("no image")
    Image.fromarray(codes(6, 5, 3)).save(tmp_path / "from" / "in" / "c.gif")
    pairs = match_images(tmp_path / "from", tmp_path / "to")
    places = {"a.png": "a.png", "in/b.jpg": "in/b.jpg", "in/c.gif": "in/c.gif.png"}
    assert pairs == [(tmp_path / "from" / a, tmp_path / "to" / b) for a, b in places.items()]
    upscale_image(bicubic_upscaler(2), *pairs[-1])
    assert read_photo(pairs[-1][1]).pixels.shape == (12, 10, 3)
    for inside in (tmp_path / "from", tmp_path / "from" / "large"):
        with pytest.raises(InputError, match="from"):
            match_images(tmp_path / "from", inside)


_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _write_animation(path):
    """Two frames of 16×12, of which the second is transparent on the left, and shown twice as long."""
    frames = [np.dstack([codes(12, 16, 3), np.full((12, 16), 255, np.uint8)])] * 2
    frames[1] = 255 - frames[1][::-1]
    frames[1][..., 3] = np.arange(16) > 5
    frames[1][..., 3] *= 255
    images = [Image.fromarray(frame) for frame in frames]
    times = {"duration": [80, 160], "loop": 3, "icc_profile": _PROFILE}
    special = {".webp": {"lossless": True}, ".gif": {"disposal": 2}}.get(path.suffix, {})
    images[0].save(path, save_all=True, append_images=images[1:], **times, **special)


@pytest.mark.parametrize("target", ["b.png", "b.webp", "b.avif"])
@pytest.mark.parametrize("source", ["a.png", "a.webp", "a.gif"])
def test_an_animation_stays_one(tmp_path, caplog, source, target):
    """Its frames are what they become as photos."""
    _write_animation(tmp_path / source)
    steps = []
    done = upscale_image(
        bicubic_upscaler(2),
        tmp_path / source,
        tmp_path / target,
        progress=lambda *step: steps.append(step),
    )
    assert (done.frames, done.output_size) == (2, (24, 32))
    assert steps == [(1, 2), (2, 2)]
    before, after = (read_animation(tmp_path / name) for name in (source, target))
    assert list(before.milliseconds) == list(after.milliseconds) == [80, 160]
    assert (before.loop, after.loop) == (3, 0 if target == "b.avif" else 3)
    assert ("rounds" in caplog.text) == (target == "b.avif")
    assert before.metadata == after.metadata
    assert before.metadata.get("icc_profile") == (None if source == "a.gif" else _PROFILE)
    for small, large in zip(before.frames, after.frames, strict=True):
        write_photo(tmp_path / "c.png", small)
        upscale_image(bicubic_upscaler(2), tmp_path / "c.png", tmp_path / "d.png")
        want = read_photo(tmp_path / "d.png")
        seen = want.alpha > 0
        if target == "b.avif":
            assert np.abs(large.alpha.astype(int) - want.alpha).max() <= 8
            assert np.abs(large.pixels.astype(int) - want.pixels)[want.alpha == 255].mean() < 8
        else:
            np.testing.assert_array_equal(large.alpha, want.alpha)
            np.testing.assert_array_equal(large.pixels[seen], want.pixels[seen])


def test_an_image_for_viewers_without_animation_is_no_frame_of_it(tmp_path):
    images = [Image.fromarray(codes(6, 5, 3) // n) for n in (1, 2, 3)]
    path = tmp_path / "a.png"
    images[0].save(path, save_all=True, default_image=True, append_images=images[1:], duration=50)
    found = read_animation(path)
    assert [frame.alpha for frame in found.frames] == [None, None]
    np.testing.assert_array_equal(found.frames[0].pixels, codes(6, 5, 3) // 2)


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_format_of_one_image_refuses_an_animation(tmp_path, suffix):
    path = tmp_path / f"two{suffix}"
    _write_animation(path)
    for target in ("b.jpg", "b.tif"):
        with pytest.raises(InputError, match=rf"two\{suffix} .* 2 frames"):
            upscale_image(bicubic_upscaler(2), path, tmp_path / target, progress=_never)
    with pytest.raises(InputError, match=rf"two\{suffix} .* 2 frames"):
        read_photo(path)


def test_of_pages_the_first_is_read(tmp_path, caplog):
    frames = [Image.fromarray(codes(16, 16, 3)), Image.fromarray(255 - codes(16, 16, 3))]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").pixels, codes(16, 16, 3))
    assert "2 images" in caplog.text


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".png", ".webp", ".jpg"])
def test_nothing_is_said_of_a_file_that_is_read_whole(tmp_path, caplog, suffix):
    """Whatever the length of its rows: 54 pixels are 164 bytes in a BMP file."""
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        for width in (53, 54, 160):
            Image.fromarray(codes(16, width, 3)).save(tmp_path / f"a{suffix}")
            read_photo(tmp_path / f"a{suffix}")
    assert not caplog.records


def test_damaged_exif_is_dropped_and_the_image_is_upscaled(tmp_path, caplog):
    Image.fromarray(codes(6, 5, 3)).save(tmp_path / "a.jpg", exif=b"Exif\0\0garbage")
    with caplog.at_level(logging.WARNING, logger="sesr_jax"):
        done = upscale_image(bicubic_upscaler(2), tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert done.output_size == (12, 10)
    assert "a.jpg has damaged EXIF, which is dropped." in caplog.text
    assert not read_photo(tmp_path / "b.jpg").metadata
