"""Upscaling videos frame by frame, with their timing, their sound and their tags.

    upscale_video(from_network(load("sesr_m5_x2.safetensors")), "clip.mp4", "large.mp4")

PyAV (the extra `video`) decodes and encodes. Containers limit what can be kept: Matroska and WebM count
time in milliseconds, and each container holds the tags of its own list.
"""

import contextlib
import io
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sesr_jax.errors import InputError, require_extra
from sesr_jax.files import check_distinct, replace_file
from sesr_jax.upscale.frames import BITS, choose_pixel_format, find_matrix_and_range, upscale_frame
from sesr_jax.upscale.tiles import Progress
from sesr_jax.upscale.upscaled_file import UpscaledFile
from sesr_jax.upscale.upscaler import Tile, Upscaler

_log = logging.getLogger(__name__)

VIDEO_FORMATS = {".mkv": "libx264", ".mov": "libx264", ".mp4": "libx264", ".webm": "libvpx-vp9"}
"""The codec that is written for each file suffix (in lower case)."""

# Constant quality, at which compression is hard to see. Each frame that is looked ahead is held in memory.
_OPTIONS = {
    "libx264": {"crf": "16", "rc-lookahead": "10"},
    "libvpx-vp9": {"crf": "20", "cpu-used": "4", "row-mt": "1", "lag-in-frames": "10"},
}

_ENCODING_FACTS = (
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "bps"),
    *("number_of_bytes", "number_of_frames", "_statistics"),
)
"""What the keys of metadata about one encoding begin with, in lower case."""


def upscale_video(
    upscaler: Upscaler,
    source_path: str | os.PathLike[str],
    target_path: str | os.PathLike[str],
    *,
    tile: Tile = "default",
    progress: Progress | None = None,
) -> UpscaledFile:
    """Upscales the first video stream of a file, and copies its other streams.

    The file is read twice. The first time its packets alone are read, so that a file that was cut short is
    refused before the long work. Memory holds a few frames, and those that the encoder looks ahead.

    The new file keeps each frame's time, the average rate, the shape of pixels, rotation, the range, matrix,
    primaries and transfer of colours, chroma subsampling, chapters and metadata, and 10 bits where codec
    and network have them. Sound, subtitles and further streams are copied packet by packet. What the new
    container does not take is left out with a logged warning, as alpha is. H.264 takes odd sides only without
    subsampling: such videos become 4:4:4, of the right size, with a warning too.

    Args:
      upscaler: what upscales.
      source_path: a video that FFmpeg reads.
      target_path: the file to write, whole or not at all; its suffix, one of `VIDEO_FORMATS`, decides the
        format.
      tile: as of `upscale_photo`.
      progress: called as ``progress(done, total)`` after each frame; `total` counts the video's packets,
        of which a few codecs have more than frames.

    Raises:
      InputError: PyAV is not installed; the source is missing, no video, damaged, or changes its size; the
        target's suffix is not known, its codec takes no such frames, it can't be written or is the source;
        the tile is too small for the network's halo; the network's output is not finite.
    """
    codec = find_video_codec(target_path)
    check_distinct(source_path, target_path)
    av = _import_av()
    first, total = _survey(av, source_path)
    size = (first.height, first.width)
    frames, pts = 0, 0
    with (
        _open_video(av, source_path) as (source, stream),
        replace_file(target_path) as temporary,
        _explain_refusals(av, target_path),
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
                    f"{_file_name(stream)} changes from {size[1]}×{size[0]} to {item.width}×{item.height} "
                    f"after {frames} frames, and a video has one size; cut it there."
                )
            if item.pts is not None:
                pts = item.pts
            elif frames:  # a bare stream, whose frames have no times
                pts += _frame_duration(stream)
            try:
                large = upscale_frame(av, upscaler, item, video.codec_context.pix_fmt, tile=tile)
            except InputError as error:
                raise InputError(f"{_file_name(stream)}, frame {frames}: {error}") from error
            large.pts, large.time_base = pts, stream.time_base
            large.duration = item.duration or _frame_duration(stream)
            target.mux(video.encode(large))
            frames += 1
            if progress:
                progress(frames, max(frames, total))
        target.mux(video.encode(None))
    return UpscaledFile(
        source=source_path,
        target=target_path,
        input_size=size,
        output_size=(upscaler.scale * size[0], upscaler.scale * size[1]),
        frames=frames,
    )


def find_video_codec(path: str | os.PathLike[str]) -> str:
    """Returns the codec that `upscale_video` will write to `path`.

    Raises:
      InputError: the suffix is none of `VIDEO_FORMATS`.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in VIDEO_FORMATS:
        raise InputError(f"{os.fspath(path)} must end in one of {', '.join(VIDEO_FORMATS)}.")
    return VIDEO_FORMATS[suffix]


def _import_av() -> Any:
    with require_extra("video", "reading and writing videos"):
        import av
    return av


@contextlib.contextmanager
def _open_video(av: Any, path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """Opens a file, and gives it and its first stream of moving images to the block."""
    name = os.fspath(path)
    if not pathlib.Path(path).is_file():
        raise InputError(f"{name} is not a file.")
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
    """Reads the packets of a file once, and returns its first frame and the number of the video's packets.

    Raises:
      InputError: as `_open_video`; no frame can be decoded, or the file ends before its stated duration.
    """
    first, total, end = None, 0, 0.0
    with _open_video(av, path) as (container, stream):
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
            raise _damage_error(stream, total, error.strerror) from error
        if first is None:
            raise InputError(f"{os.fspath(path)} holds no frame that can be decoded; replace it.")
        # A Matroska file that was cut ends without an error, and its last packets may have no duration.
        duration = (container.duration or 0) / av.time_base
        slack = min(1.0, duration / 4) + float(_frame_duration(stream) * stream.time_base)
        if 0 < end < duration - slack:
            raise _damage_error(stream, total, f"it ends at {end:.1f} s of {duration:.1f} s")
    return first, total


def _read(av: Any, source: Any, stream: Any) -> Iterator[Any]:
    """Yields the decoded frames of `stream` and the packets of all others, in the order of the file.

    It passes over what stands before the first whole frame, as players do.
    """
    frames, warned = 0, False
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
                if frame.is_corrupt and not warned:
                    warned = True
                    _log.warning(
                        "%s is damaged in frame %d, and perhaps behind.", _file_name(stream), frames
                    )
                frames += 1
                yield frame
    except av.FFmpegError as error:
        raise _damage_error(stream, frames, error.strerror) from error


def _damage_error(stream: Any, frames: int, reason: str) -> InputError:
    return InputError(
        f"{_file_name(stream)} is damaged or cut short after {frames} frames ({reason}); fetch it again or "
        "repair it."
    )


def _file_name(stream: Any) -> str:
    return pathlib.Path(stream.container.name).name


def _frame_duration(stream: Any) -> int:
    """Returns how long a frame lasts at the stream's average rate, in its time base."""
    return max(1, round(1 / (_frame_rate(stream) * stream.time_base)))


def _frame_rate(stream: Any) -> Any:
    return stream.average_rate or stream.guessed_rate or 25


@contextlib.contextmanager
def _explain_refusals(av: Any, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns FFmpeg's refusals to write into `InputError`; `replace_file` does so for the file system's."""
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
    target.metadata.update(_without_encoding_facts(source.metadata))
    target.set_chapters(source.chapters())
    target.start_encoding()
    return video, copies


def _add_video(
    av: Any, target: Any, codec: str, upscaler: Upscaler, stream: Any, first: Any
) -> Any:
    """Adds the stream of the upscaled `stream` to `target`, opens its encoder, and returns it."""
    height, width = size = (upscaler.scale * first.height, upscaler.scale * first.width)
    video = target.add_stream(codec, rate=_frame_rate(stream), options=_OPTIONS.get(codec, {}))
    context = video.codec_context
    context.width, context.height = width, height
    context.pix_fmt = choose_pixel_format(av, context.codec, upscaler, first.format.name, size)
    context.time_base = video.time_base = stream.time_base
    context.flags |= av.codec.context.Flags.frame_duration
    if stream.sample_aspect_ratio:
        context.sample_aspect_ratio = stream.sample_aspect_ratio
    context.colorspace, context.color_range = find_matrix_and_range(first)
    context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
    if "DISPLAYMATRIX" in first.side_data:
        video.set_display_matrix(np.frombuffer(first.side_data["DISPLAYMATRIX"], np.int32))
    video.metadata.update(_without_encoding_facts(stream.metadata))
    video.disposition = stream.disposition
    _warn(stream, first, context.format)
    try:
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{_file_name(stream)} would have {width}×{height} pixels, which {codec} does not encode "
            f"({error}); choose a smaller scale, or another format."
        ) from error
    return video


def _warn(stream: Any, first: Any, written: Any) -> None:
    """Logs what the frames lose in the pixel format `written`."""
    had, has = first.format.components[0].bits, BITS[written.name]
    chroma = [(f.chroma_height(2), f.chroma_width(2)) for f in (first.format, written)]
    for is_so, loss in (
        (first.interlaced_frame, "is interlaced, and upscaled as if it were not"),
        (any(c.is_alpha for c in first.format.components), "has alpha, which is dropped"),
        (had > has, f"has {had} bits a sample, of which {has} are kept"),
        (
            chroma[0] != chroma[1] and len(first.format.components) > 1,
            f"is {first.format.name}, and becomes {written.name}, which the codec and the size allow",
        ),
    ):
        if is_so:
            _log.warning("%s %s.", _file_name(stream), loss)


def _add_copy(av: Any, target: Any, stream: Any) -> Any | None:
    """Adds a stream for the packets of `stream`; warns and returns None if the container takes none."""
    try:
        # A header that is refused would spoil all streams, so that each is tried alone.
        with av.open(io.BytesIO(), "w", format=target.format.name) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        _log.warning(
            "%s: stream %d (%s) is left out (%s).",
            _file_name(stream),
            stream.index,
            stream.type,
            error,
        )
        return None
    copy = target.add_stream_from_template(stream, opaque=True)
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _without_encoding_facts(metadata: dict[str, str]) -> dict[str, str]:
    """Returns the metadata that are as true of the upscaled video."""
    return {k: v for k, v in metadata.items() if not k.lower().startswith(_ENCODING_FACTS)}
