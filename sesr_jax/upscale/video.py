"""Videos, larger: frame by frame, with their timing, their sound and their tags.

    upscale_video(from_network(load("sesr_m5_x2.safetensors")), "clip.mp4", "large.mp4")

PyAV (the extra `video`) decodes and encodes. Containers limit what can be kept: Matroska and WebM count
time in milliseconds, and each has its own list of tags that it holds.
"""

import contextlib
import dataclasses
import io
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sesr_jax.errors import InputError, require_extra
from sesr_jax.files import check_distinct, replace_file
from sesr_jax.upscale.frames import BITS, matrix_and_range, pixel_format, upscale_frame
from sesr_jax.upscale.tiles import Progress
from sesr_jax.upscale.upscaler import Tile, Upscaler

_log = logging.getLogger(__name__)

VIDEO_FORMATS = {".mkv": "libx264", ".mov": "libx264", ".mp4": "libx264", ".webm": "libvpx-vp9"}
"""The codec that is written for each file suffix (in lower case)."""

# Constant quality, at which compression is hard to see. Each frame that is looked ahead is held in memory.
_OPTIONS = {
    "libx264": {"crf": "16", "rc-lookahead": "10"},
    "libvpx-vp9": {"crf": "20", "cpu-used": "4", "row-mt": "1", "lag-in-frames": "10"},
}

_OF_ONE_FILE = (
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "bps"),
    *("number_of_bytes", "number_of_frames", "_statistics"),
)
"""How the keys of metadata begin (in lower case) that tell of one encoding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpscaledVideo:
    """What was written.

    Attributes:
      frames: how many.
      input_size: the height and width that were decoded, before any rotation for display.
      output_size: those that were encoded, the scale times as many.
    """

    frames: int
    input_size: tuple[int, int]
    output_size: tuple[int, int]


def upscale_video(
    upscaler: Upscaler,
    source_path: str | os.PathLike[str],
    target_path: str | os.PathLike[str],
    *,
    tile: Tile = "default",
    progress: Progress | None = None,
) -> UpscaledVideo:
    """Upscales the first video stream of a file, and copies its other streams.

    The file is read twice: first its packets alone, so that one that was cut short is refused before the
    long work. The memory is that of a few frames, and of those that the encoder looks ahead.

    Kept are each frame's time, the average rate, the shape of pixels, rotation, the range, matrix,
    primaries and transfer of colours, chroma subsampling, chapters and metadata, and 10 bits where codec
    and network have them. Sound, subtitles and further streams are copied packet by packet; what the new
    container does not take is left out with a logged warning, as alpha is. H.264 has odd sides without
    subsampling alone, so that such videos become 4:4:4, of the right size, with a warning too.

    Args:
      upscaler: what upscales.
      source_path: any video that FFmpeg reads.
      target_path: where to write, all or nothing; its suffix, one of `VIDEO_FORMATS`, decides the format.
      tile: as of `upscale_photo`.
      progress: called as ``progress(done, total)`` after each frame; `total` counts the video's packets,
        which a few codecs have more of than frames.

    Raises:
      InputError: PyAV is not installed; the source is missing, no video, damaged, or changes its size; the
        target's suffix is not known, its codec takes no such frames, it can't be written or is the source;
        the tile is too small for the network's halo.
    """
    codec = video_codec(target_path)
    check_distinct(source_path, target_path)
    av = _pyav()
    first, total = _survey(av, source_path)
    size = (first.height, first.width)
    frames, pts = 0, 0
    with (
        _opened(av, source_path) as (source, stream),
        replace_file(target_path) as temporary,
        _writing(av, target_path),
        av.open(os.path.abspath(temporary), "w") as target,
    ):
        video, copies = _prepare(av, target, codec, upscaler, source, stream, first)
        for item in _read(av, source, stream):
            if isinstance(item, av.Packet):
                if item.stream.index in copies:
                    item.stream = copies[item.stream.index]
                    target.mux(item)
                continue
            if (item.height, item.width) != size:
                raise InputError(
                    f"{_name(stream)} changes from {size[1]}×{size[0]} to {item.width}×{item.height} after "
                    f"{frames} frames, and a video has one size; cut it there."
                )
            if item.pts is not None:
                pts = item.pts
            elif frames:  # a bare stream, whose frames have no times
                pts += _step(stream)
            large = upscale_frame(av, upscaler, item, video.codec_context.pix_fmt, tile=tile)
            large.pts, large.time_base = pts, stream.time_base
            large.duration = item.duration or _step(stream)
            target.mux(video.encode(large))
            frames += 1
            if progress:
                progress(frames, max(frames, total))
        target.mux(video.encode(None))
    large_size = (upscaler.scale * size[0], upscaler.scale * size[1])
    return UpscaledVideo(frames=frames, input_size=size, output_size=large_size)


def video_codec(path: str | os.PathLike[str]) -> str:
    """The codec that `upscale_video` will write to `path`, to ask before long work.

    Raises:
      InputError: the suffix is none of `VIDEO_FORMATS`.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in VIDEO_FORMATS:
        raise InputError(
            f"{os.fspath(path)} must end in one of {', '.join(VIDEO_FORMATS)}; rename it."
        )
    return VIDEO_FORMATS[suffix]


def _pyav() -> Any:
    with require_extra("video", "reading and writing videos"):
        import av
    return av


@contextlib.contextmanager
def _opened(av: Any, path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """The file, and its first stream of moving pictures."""
    name = os.fspath(path)
    if not pathlib.Path(path).is_file():
        raise InputError(f"{name} is not a file; check the path.")
    try:
        # An absolute path is never taken for an address, as "clip:1.mp4" would be.
        container = av.open(os.path.abspath(path), "r", metadata_errors="replace")
    except av.FFmpegError as error:
        raise InputError(
            f"{name} can't be read as a video ({error.strerror}); replace or convert it."
        ) from error
    with container:
        cover = av.stream.Disposition.attached_pic
        moving = [s for s in container.streams.video if not s.disposition & cover]
        if not moving or moving[0].codec_context is None:
            raise InputError(f"{name} holds no video that can be decoded; replace or convert it.")
        yield container, moving[0]


def _survey(av: Any, path: str | os.PathLike[str]) -> tuple[Any, int]:
    """The first frame, and the number of the video's packets.

    Raises:
      InputError: as `_opened`; nothing can be decoded, or the file ends before its time.
    """
    first, total, end = None, 0, 0.0
    with _opened(av, path) as (container, stream):
        try:
            for packet in container.demux():
                if packet.stream.index == stream.index:
                    total += packet.size > 0
                    if first is None:
                        with contextlib.suppress(av.FFmpegError):
                            first = next(iter(packet.decode()), None)
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except av.FFmpegError as error:
            raise _damaged(stream, total, error.strerror) from error
        if first is None:
            raise InputError(f"{os.fspath(path)} holds no frame that can be decoded; replace it.")
        # A Matroska file that was cut ends without an error. Its last packets may not say how long they last.
        told = (container.duration or 0) / av.time_base
        slack = min(1.0, told / 4) + float(_step(stream) * stream.time_base)
        if 0 < end < told - slack:
            raise _damaged(stream, total, f"it ends at {end:.1f} s of {told:.1f} s")
    return first, total


def _read(av: Any, source: Any, stream: Any) -> Iterator[Any]:
    """The decoded frames of `stream` and the packets of all others, in the order of the file.

    What stands before the first whole frame is passed over, as players do.
    """
    frames, tainted = 0, False
    try:
        for packet in source.demux():
            if packet.stream.index != stream.index:  # the last, empty packets have no stream_index
                if packet.size:
                    yield packet
                continue
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                if frames:
                    raise
                continue
            for frame in decoded:
                if frame.is_corrupt and not tainted:
                    tainted = True
                    _log.warning(
                        "%s is damaged in frame %d, and perhaps behind.", _name(stream), frames
                    )
                frames += 1
                yield frame
    except av.FFmpegError as error:
        raise _damaged(stream, frames, error.strerror) from error


def _damaged(stream: Any, frames: int, reason: str) -> InputError:
    return InputError(
        f"{_name(stream)} is damaged or cut short after {frames} frames ({reason}); fetch it again or repair "
        "it."
    )


def _name(stream: Any) -> str:
    return pathlib.Path(stream.container.name).name


def _step(stream: Any) -> int:
    """How long a frame lasts at the stream's average rate, in its time base."""
    return max(1, round(1 / (_rate(stream) * stream.time_base)))


def _rate(stream: Any) -> Any:
    return stream.average_rate or stream.guessed_rate or 25


@contextlib.contextmanager
def _writing(av: Any, path: str | os.PathLike[str]) -> Iterator[None]:
    """FFmpeg's refusals to write as `InputError`s; those of the file system are left to `replace_file`."""
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise InputError(
            f"{os.fspath(path)} can't be written ({error.strerror}); choose another format among "
            f"{', '.join(VIDEO_FORMATS)}."
        ) from error


def _prepare(
    av: Any, target: Any, codec: str, upscaler: Upscaler, source: Any, stream: Any, first: Any
) -> tuple[Any, dict[int, Any]]:
    """Opens the encoder and writes the header.

    Returns:
      The video stream of `target`, and its other streams by their indices in `source`.
    """
    video, copies = None, {}
    for each in source.streams:
        if each.index == stream.index:
            video = _add_video(av, target, codec, upscaler, stream, first)
        elif each.type == "data" and each.name == "bin_data" and source.chapters():
            continue  # MP4 keeps its chapters there, which are written anew
        elif (copy := _add_copy(av, target, each)) is not None:
            copies[each.index] = copy
    target.metadata.update(_lasting(source.metadata))
    target.set_chapters(source.chapters())
    target.start_encoding()
    return video, copies


def _add_video(
    av: Any, target: Any, codec: str, upscaler: Upscaler, stream: Any, first: Any
) -> Any:
    """A stream for what becomes of `stream`, its encoder open."""
    height, width = size = (upscaler.scale * first.height, upscaler.scale * first.width)
    video = target.add_stream(codec, rate=_rate(stream), options=_OPTIONS.get(codec, {}))
    context = video.codec_context
    context.width, context.height = width, height
    context.pix_fmt = pixel_format(av, context.codec, upscaler, first.format.name, size)
    context.time_base = video.time_base = stream.time_base
    context.flags |= av.codec.context.Flags.frame_duration
    if stream.sample_aspect_ratio:
        context.sample_aspect_ratio = stream.sample_aspect_ratio
    context.colorspace, context.color_range = matrix_and_range(first)
    context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
    if "DISPLAYMATRIX" in first.side_data:
        video.set_display_matrix(np.frombuffer(first.side_data["DISPLAYMATRIX"], np.int32))
    video.metadata.update(_lasting(stream.metadata))
    video.disposition = stream.disposition
    _warn(stream, first, context.format)
    try:
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{_name(stream)} would have {width}×{height} pixels, which {codec} does not encode ({error}); "
            "choose a smaller scale, or another format."
        ) from error
    return video


def _warn(stream: Any, first: Any, written: Any) -> None:
    """Logs what of the frames is lost in the pixel format `written`."""
    had, has = first.format.components[0].bits, BITS[written.name]
    chroma = [(f.chroma_height(2), f.chroma_width(2)) for f in (first.format, written)]
    for true, told in (
        (first.interlaced_frame, "is interlaced, and upscaled as if it were not"),
        (any(c.is_alpha for c in first.format.components), "has alpha, which is dropped"),
        (had > has, f"has {had} bits a sample, of which {has} are kept"),
        (
            chroma[0] != chroma[1] and len(first.format.components) > 1,
            f"is {first.format.name}, and becomes {written.name}, which the codec and the size allow",
        ),
    ):
        if true:
            _log.warning("%s %s.", _name(stream), told)


def _add_copy(av: Any, target: Any, stream: Any) -> Any | None:
    """A stream for the packets of `stream`; None, with a warning, if the container does not take it."""
    try:
        # A header that is refused would take all streams with it: each is tried alone.
        with av.open(io.BytesIO(), "w", format=target.format.name) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        _log.warning(
            "%s: stream %d (%s) is left out (%s).", _name(stream), stream.index, stream.type, error
        )
        return None
    copy = target.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _lasting(metadata: dict[str, str]) -> dict[str, str]:
    """What of the metadata is as true of an upscaled video."""
    return {k: v for k, v in metadata.items() if not k.lower().startswith(_OF_ONE_FILE)}
