"""Upscaling videos frame by frame, with their timing, their sound and their tags.

    upscale_video(from_network(load("sesr_m5_x2.safetensors")), "clip.mp4", "large.mp4")

PyAV (the extra `video`) decodes and encodes. Containers limit what can be kept: Matroska and WebM count
time in milliseconds, and each container holds the tags of its own list.
"""

import contextlib
import functools
import io
import logging
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.files import check_distinct, replace_file
from sesr_jax.upscale.decoding import (
    FrameReader,
    file_name,
    frame_duration,
    frame_rate,
    has_alpha_beside,
    import_av,
    open_video,
    survey_video,
)
from sesr_jax.upscale.deinterlacing import deinterlace_frames
from sesr_jax.upscale.frames import (
    WITH_ALPHA,
    choose_pixel_format,
    complete_colour_tags,
    find_matrix_and_range,
    has_alpha,
    upscale_frame,
)
from sesr_jax.upscale.light import find_light_levels, has_moving_light_levels
from sesr_jax.upscale.threads import read_ahead
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
    *("number_of_bytes", "number_of_frames", "_statistics", "alpha_mode"),
)
"""What the keys of metadata about one encoding begin with, in lower case."""

_LIGHT_CODECS = ("libx264",)
"""Codecs that are told the static light levels of HDR."""

_AHEAD = 2
"""How many frames or packets wait between two of the threads that decode, upscale and encode."""

_LATE = 1_000_000
"""From how many microseconds on the start of a recording is the clock of its sender, and is subtracted."""


def upscale_video(
    upscaler: Upscaler,
    source_path: str | os.PathLike[str],
    target_path: str | os.PathLike[str],
    *,
    tile: Tile = "default",
    deinterlace: bool = False,
    progress: Progress | None = None,
) -> UpscaledFile:
    """Upscales the first video stream of a file, and copies its other streams.

    The file is read twice. The first time its packets alone are read, so that a file that was cut short is
    refused before the long work. Threads decode, upscale and encode beside each other. Memory holds a few
    frames, and those that the encoder looks ahead. A frame that cannot be decoded is replaced by the one
    before it, and counted.

    The new file keeps each frame's time (counted from the start, where that is later than a second), the
    average rate, the shape of pixels, rotation, the range, matrix, primaries and transfer of colours, chroma
    subsampling, chapters and metadata, 10 bits where codec and network have them, and the static light levels
    of HDR10 in H.264, and alpha in WebM. Sound, subtitles and further streams are copied packet by packet.
    What the container does not take is left out with a logged warning. H.264 takes odd sides only without
    subsampling: such videos become 4:4:4, of the right size, with a warning too.

    Args:
      upscaler: what upscales.
      source_path: a video that FFmpeg reads.
      target_path: the file to write, whole or not at all; its suffix, one of `VIDEO_FORMATS`, decides the
        format.
      tile: as of `upscale_photo`.
      deinterlace: whether the frames are interlaced and are to be made whole.
      progress: called as ``progress(done, total)`` after each frame; `total` counts the video's packets,
        of which a few codecs have more than frames.

    Raises:
      InputError: PyAV is not installed; the source is missing, no video, cut short, or changes its size; the
        target's suffix is not known, its codec takes no such frames, it can't be written or is the source;
        the tile is too small for the network's halo; the network's output is not finite.
    """
    codec = find_video_codec(target_path)
    check_distinct(source_path, target_path)
    av = import_av()
    survey = survey_video(av, source_path)
    size = (survey.first.height, survey.first.width)
    frames, pts = 0, 0
    with (
        open_video(av, source_path) as (source, stream),
        replace_file(target_path) as temporary,
        _explain_refusals(av, target_path),
        av.open(os.path.abspath(temporary), "w") as target,
    ):
        video, copies = _prepare(av, target, codec, upscaler, source, stream, survey.first)
        _warn(stream, survey.first, video.codec_context, deinterlace=deinterlace)
        reader = FrameReader(av, source, stream)
        start = source.start_time if (source.start_time or 0) > _LATE else 0
        late = round(Fraction(start, av.time_base) / stream.time_base)
        whole = deinterlace_frames(av, reader, stream) if deinterlace else reader
        upscale = functools.partial(
            upscale_frame, av, upscaler, name=video.codec_context.pix_fmt, tile=tile
        )
        # Two threads decode and upscale the next frames while this one encodes.
        with (
            read_ahead(whole, _AHEAD) as decoded,
            read_ahead(_upscale_frames(av, upscale, decoded, file_name(stream)), _AHEAD) as items,
        ):
            for item, large in items:
                if large is None:
                    if item.stream.index in copies:
                        _start_earlier(item, Fraction(start, av.time_base))
                        item.stream = copies[item.stream.index]
                        target.mux(item)
                    continue
                if item.pts is not None:
                    pts = item.pts - late
                elif frames:  # a bare stream, whose frames have no times
                    pts += frame_duration(stream)
                large.pts, large.time_base = pts, stream.time_base
                large.duration = item.image.duration or frame_duration(stream)
                target.mux(video.encode(large))
                frames += 1
                if progress:
                    progress(frames, max(frames, survey.packets))
        target.mux(video.encode(None))
    return UpscaledFile(
        source=source_path,
        target=target_path,
        input_size=size,
        output_size=(upscaler.scale * size[0], upscaler.scale * size[1]),
        frames=frames,
        damaged_frames=reader.damaged + survey.missing,
    )


def _upscale_frames(
    av: Any, upscale: Callable[[Any], Any], items: Iterable[Any], name: str
) -> Iterator[tuple[Any, Any]]:
    """Yields each packet with None, and each frame with the upscaled one, which repeated frames share."""
    frames, large = 0, None
    for item in items:
        if isinstance(item, av.Packet):
            yield item, None
            continue
        if not item.is_repeated:
            try:
                large = upscale(item.image)
            except InputError as error:
                raise InputError(f"{name}, frame {frames}: {error}") from error
        frames += 1
        yield item, large


def _start_earlier(packet: Any, seconds: Fraction) -> None:
    ticks = round(seconds / packet.time_base)
    if packet.pts is not None:
        packet.pts -= ticks
    if packet.dts is not None:
        packet.dts -= ticks


def find_video_codec(path: str | os.PathLike[str]) -> str:
    """Returns the codec that `upscale_video` will write to `path`.

    Raises:
      InputError: the suffix is none of `VIDEO_FORMATS`.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in VIDEO_FORMATS:
        raise InputError(f"{os.fspath(path)} must end in one of {', '.join(VIDEO_FORMATS)}.")
    return VIDEO_FORMATS[suffix]


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
    options = dict(_OPTIONS.get(codec, {}))
    if codec in _LIGHT_CODECS and (light := find_light_levels(first)):
        options["x264-params"] = light
    video = target.add_stream(codec, rate=frame_rate(stream), options=options)
    context = video.codec_context
    context.width, context.height = width, height
    context.pix_fmt = choose_pixel_format(av, context.codec, upscaler, first.format.name, size)
    context.time_base = video.time_base = stream.time_base
    context.flags |= av.codec.context.Flags.frame_duration
    if stream.sample_aspect_ratio:
        context.sample_aspect_ratio = stream.sample_aspect_ratio
    matrix, context.color_range = find_matrix_and_range(first)
    context.colorspace, context.color_primaries, context.color_trc = complete_colour_tags(
        (matrix, first.color_primaries, first.color_trc), ((first.height, first.width), size)
    )
    if "DISPLAYMATRIX" in first.side_data:
        video.set_display_matrix(np.frombuffer(first.side_data["DISPLAYMATRIX"], np.int32))
    video.metadata.update(_without_encoding_facts(stream.metadata))
    if context.pix_fmt == WITH_ALPHA:
        video.metadata["alpha_mode"] = "1"
    video.disposition = stream.disposition
    try:
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{file_name(stream)} would have {width}×{height} pixels, which {codec} does not encode "
            f"({error}); choose a smaller scale, or another format."
        ) from error
    return video


def _warn(stream: Any, first: Any, context: Any, *, deinterlace: bool) -> None:
    """Logs what the frames lose in the encoder `context`."""
    written = context.format
    had, has = first.format.components[0].bits, written.components[0].bits
    chroma = [(f.chroma_height(2), f.chroma_width(2)) for f in (first.format, written)]
    for is_so, loss in (
        (
            first.interlaced_frame and not deinterlace,
            "is interlaced, and upscaled as if it were not (see sesr upscale --deinterlace)",
        ),
        (
            (has_alpha(first.format) or has_alpha_beside(stream)) and not has_alpha(written),
            "has alpha, which is dropped",
        ),
        (
            find_light_levels(first) and context.codec.name not in _LIGHT_CODECS,
            "has the light levels of HDR, which are dropped",
        ),
        (has_moving_light_levels(first), "has light levels for each frame, which are dropped"),
        (had > has, f"has {had} bits a sample, of which {has} are kept"),
        (
            chroma[0] != chroma[1] and len(first.format.components) > 1,
            f"is {first.format.name}, and becomes {written.name}, which the codec and the size allow",
        ),
    ):
        if is_so:
            _log.warning("%s %s.", file_name(stream), loss)


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
            file_name(stream),
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
