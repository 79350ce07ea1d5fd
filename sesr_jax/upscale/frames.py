"""Upscaling the frames of a video: their planes of Y, U and V, or RGB for networks of three channels.

A network of one channel upscales the Y plane as it was decoded. The chroma planes are upscaled
bicubically and stay subsampled as they were, so that no colour matrix is applied. A network of three
channels gets RGB, by the matrix and range that the frame names (BT.601 and studio range where it names
none).

Chroma samples are assumed to lie amid their luma samples, as FFmpeg's scaler assumes by default. Where
they lie beside the left one, as in much of H.264, colours move to the right by half a pixel of the result
at ×2, and by one and a half at ×4.

Frames, formats and codecs are those of PyAV, which the caller imports and passes as `av`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sesr_jax.data.resize import enlarge, imresize
from sesr_jax.data.transparency import spread_colours
from sesr_jax.upscale.upscaler import Tile, Upscaler, upscale_luma, upscale_photo

_SAMPLING = {"yuv420p": (2, 2), "yuv422p": (1, 2), "yuv444p": (1, 1), "gray": (1, 1)}
"""For each pixel format, the rows and columns of luma that share a sample of chroma."""

BITS = {**dict.fromkeys(_SAMPLING, 8), **{f"{name}10le": 10 for name in _SAMPLING}}
"""The bits of each pixel format that is written; a code of more than 8 bits takes two bytes."""

_EVEN_SIDES = ("libx264",)
"""Codecs in which the sides of subsampled frames must be even."""

WITH_ALPHA = "yuva420p"
"""The pixel format that is written of frames with alpha, where the codec has alpha."""

_OPAQUE = WITH_ALPHA.replace("yuva", "yuv")

_ALPHA_CODECS = ("libvpx-vp9",)

_FULL, _LIMITED, _UNSPECIFIED, _BT470BG, _BT601 = 2, 1, 2, 5, 6
"""AVColorRange and AVColorSpace of FFmpeg's pixfmt.h; the latter's codes are those of ISO/IEC 23091-2."""


def choose_pixel_format(
    av: Any, codec: Any, upscaler: Upscaler, source: str, size: tuple[int, int]
) -> str:
    """Returns the pixel format of `codec` that is nearest to `source` for frames of `size`, height and width.

    It is `source` itself where the codec has it, with three exceptions: RGB networks give 8 bits, H.264 has
    no subsampling across an odd side, which cannot be padded without changing the video's size, and all alpha
    is written as players take it (`WITH_ALPHA`).
    """
    if codec.name in _ALPHA_CODECS and has_alpha(av.VideoFormat(source)):
        return WITH_ALPHA
    most = 8 if upscaler.channels == 3 else 10
    names = [
        fmt.name
        for fmt in codec.video_formats
        if fmt.name in BITS and BITS[fmt.name] <= most and _fits_codec(codec.name, fmt.name, size)
    ]
    grey = [name for name in names if name.startswith("gray")]
    if source.startswith("gray") and not grey:
        source = "yuv420p"  # the least chroma, which is constant
    return _find_nearest_format(av, names, source)


def find_matrix_and_range(frame: Any) -> tuple[int, int]:
    """Returns the colour space and range with which a video of such frames is written."""
    if frame.format.is_rgb or frame.format.has_palette:
        return _BT601, _LIMITED
    return frame.colorspace, _FULL if frame.format.name.startswith("yuvj") else frame.color_range


def complete_colour_tags(
    tags: tuple[int, int, int], sizes: tuple[tuple[int, int], tuple[int, int]]
) -> tuple[int, int, int]:
    """Returns the tags of a larger video: what players assume of an untagged one depends on its size.

    Up to 576 rows and below 1280 columns they assume the colours of BT.601, and BT.709 beyond.

    Args:
      tags: matrix, primaries and transfer of the video, in the codes of ISO/IEC 23091-2.
      sizes: height and width of the video, and of the larger one.
    """
    before, after = (height <= 576 and width < 1280 for height, width in sizes)
    if not before or after:
        return tags
    assumed = (_BT470BG, _BT470BG, _BT601) if sizes[0][0] in (288, 576) else (_BT601,) * 3
    matrix, primaries, transfer = (
        guess if tag == _UNSPECIFIED else tag for tag, guess in zip(tags, assumed, strict=True)
    )
    return matrix, primaries, transfer


def has_alpha(pixel_format: Any) -> bool:
    """Returns whether frames of this PyAV format have alpha."""
    return any(component.is_alpha for component in pixel_format.components)


def upscale_frame(av: Any, upscaler: Upscaler, frame: Any, name: str, *, tile: Tile) -> Any:
    """Returns `frame` upscaled, in the pixel format `name` (one of `BITS`, or `WITH_ALPHA`).

    Raises:
      InputError: the tile is too small for the network's halo.
    """
    if name == WITH_ALPHA:
        return _upscale_with_alpha(av, upscaler, frame, tile)
    space, colour_range = find_matrix_and_range(frame)
    if upscaler.channels == 3:
        photo = _convert(av, frame, "rgb24").to_ndarray()
        large = av.VideoFrame.from_ndarray(upscale_photo(upscaler, photo, tile=tile), "rgb24")
        large.colorspace, large.color_range = space, colour_range
        return _convert(av, large, name, dst_color_range=colour_range)
    bits, own = BITS[name], frame.format.name.replace("yuvj", "yuv")
    if BITS.get(own) != bits:
        own = _find_nearest_format(av, [n for n in BITS if BITS[n] == bits], own)
        frame = _to_yuv(av, frame, own)
    large = av.VideoFrame(*(upscaler.scale * n for n in (frame.width, frame.height)), name)
    luma, *chroma = (_view_codes(plane, bits) for plane in frame.planes)
    large_luma, *large_chroma = (_view_codes(plane, bits) for plane in large.planes)
    full = colour_range == _FULL
    large_luma[...] = _upscale_luma_codes(upscaler, luma, bits=bits, full=full, tile=tile)
    shared = zip(_find_sampling(own), _find_sampling(name), strict=True)
    factors = [upscaler.scale * before // after for before, after in shared]
    for plane in large_chroma:
        plane[...] = 1 << (bits - 1)  # no colour
    if chroma and large_chroma:
        wide = _upscale_chroma_codes(np.stack(chroma, axis=-1), factors, bits=bits)
        for index, plane in enumerate(large_chroma):  # odd sides have half a sample less
            plane[...] = wide[: plane.shape[0], : plane.shape[1], index]
    return large


def _upscale_with_alpha(av: Any, upscaler: Upscaler, frame: Any, tile: Tile) -> Any:
    """Returns `frame` upscaled in the format `WITH_ALPHA`, its alpha bicubically.

    Pixels that are wholly transparent take the colours of their visible neighbours, as those of photos do.
    """
    whole, opaque = (_to_yuv(av, frame, name) for name in (WITH_ALPHA, _OPAQUE))
    alpha = _view_codes(whole.planes[3], 8) if has_alpha(frame.format) else None
    if alpha is not None:
        for plane in opaque.planes:
            codes = _view_codes(plane, 8)
            share = [round(n / m) for n, m in zip(alpha.shape, codes.shape, strict=True)]
            codes[...] = spread_colours(codes.copy(), _find_visible(alpha, share))
    large = upscale_frame(av, upscaler, opaque, _OPAQUE, tile=tile)
    result = av.VideoFrame(large.width, large.height, WITH_ALPHA)
    for source, target in zip(large.planes, result.planes, strict=False):
        _view_codes(target, 8)[...] = _view_codes(source, 8)
    codes = _view_codes(result.planes[3], 8)
    codes[...] = 255
    if alpha is not None:
        codes[...] = _round_codes(imresize(alpha.astype(np.float64), shape=codes.shape), 255)
    return result


def _find_visible(alpha: np.ndarray, share: Sequence[int]) -> np.ndarray:
    """Returns the largest alpha of the pixels that share a sample of chroma."""
    rest = [(0, -n % by) for n, by in zip(alpha.shape, share, strict=True)]
    blocks = np.pad(alpha, rest)
    height, width = (n // by for n, by in zip(blocks.shape, share, strict=True))
    visible: np.ndarray = blocks.reshape(height, share[0], width, share[1]).max(axis=(1, 3))
    return visible


def _upscale_luma_codes(
    upscaler: Upscaler,
    codes: np.ndarray,
    *,
    bits: int,
    full: bool,
    tile: Tile,
) -> np.ndarray:
    """Upscales codes ``[h, w]`` of Y to ``[scale·h, scale·w]``, in the studio range that networks know."""
    peak, unit = (1 << bits) - 1, 255 << (bits - 8)
    y = (16 / 255 + codes * (219 / 255 / peak)) if full else codes / unit
    large = upscale_luma(upscaler, y[..., None].astype(np.float32), tile=tile)[..., 0]
    return _round_codes((large - 16 / 255) * (255 / 219 * peak) if full else large * unit, peak)


def _upscale_chroma_codes(codes: np.ndarray, factors: Sequence[int], *, bits: int) -> np.ndarray:
    """Upscales codes ``[h, w, 2]`` of U and V by `factors`, along height and width."""
    return _round_codes(enlarge(codes, factors), (1 << bits) - 1)


def _round_codes(values: np.ndarray, peak: int) -> np.ndarray:
    return np.clip(np.floor(values + 0.5), 0, peak)


def _view_codes(plane: Any, bits: int) -> np.ndarray:
    """Returns a view of the codes ``[height, width]`` of a plane, in its own memory."""
    dtype = np.dtype("u1" if bits == 8 else "<u2")
    columns = abs(plane.line_size) // dtype.itemsize  # padding included
    rows = np.ndarray((plane.height, columns), dtype, buffer=plane)
    return rows[:: -1 if plane.line_size < 0 else 1, : plane.width]


def _to_yuv(av: Any, frame: Any, name: str) -> Any:
    """Converts `frame` to Y, U and V: RGB as `find_matrix_and_range` says, and others by their own tags."""
    from_rgb = frame.format.is_rgb or frame.format.has_palette
    settings = {"dst_colorspace": "ITU601", "dst_color_range": "MPEG"} if from_rgb else {}
    return _convert(av, frame, name, **settings)


def _convert(av: Any, frame: Any, name: str, **settings: Any) -> Any:
    """Converts `frame` to another pixel format, by its own matrix and range unless `settings` name others."""
    ways = av.video.reformatter.Interpolation
    # Without the last three, swscale is off by two codes.
    exact = ways.BICUBIC | ways.ACCURATE_RND | ways.FULL_CHR_H_INT | ways.FULL_CHR_H_INP
    return frame.reformat(format=name, interpolation=exact, **settings)


def _find_nearest_format(av: Any, names: Sequence[str], source: str) -> str:
    return av.codec.codec.find_best_pix_fmt_of_list(names, source)[0].name


def _find_sampling(name: str) -> tuple[int, int]:
    return _SAMPLING[name.removesuffix("10le")]


def _fits_codec(codec: str, name: str, size: tuple[int, int]) -> bool:
    odd = any(n % by for n, by in zip(size, _find_sampling(name), strict=True))
    return not (odd and codec in _EVEN_SIDES)
