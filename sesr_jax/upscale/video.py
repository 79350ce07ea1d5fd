"""Upscaling videos frame by frame, with their timing, their sound and their tags.

    upscale_video(from_network(load("sesr_m5_x2.safetensors")), "clip.mp4", "large.mp4")

PyAV (the extra `video`) decodes and encodes. Containers limit what can be kept: Matroska and WebM count
time in milliseconds, and each container holds the tags of its own list.

A long video is encoded in segments, which stay if the work ends before its end, so that it goes on behind
them. The cuts depend on the video and the upscaler alone: every way to the end gives the same frames.
"""

import contextlib
import functools
import hashlib
import io
import logging
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

from sesr_jax import __version__
from sesr_jax.errors import InputError
from sesr_jax.files import check_distinct, check_writable, replace_file
from sesr_jax.upscale.decoding import (
    FrameReader,
    Survey,
    find_frame_duration,
    get_file_name,
    has_alpha_beside,
    import_av,
    open_video,
    survey_video,
)
from sesr_jax.upscale.deinterlacing import deinterlace_frames
from sesr_jax.upscale.encoding import (
    LIGHT_CODECS,
    OPTIONS,
    VideoEncoder,
    add_streams,
    add_video,
)
from sesr_jax.upscale.frames import has_alpha, upscale_frame
from sesr_jax.upscale.light import find_light_levels, has_moving_light_levels
from sesr_jax.upscale.segments import Segments, open_segments
from sesr_jax.upscale.threads import read_ahead
from sesr_jax.upscale.tiles import Progress
from sesr_jax.upscale.upscaled_file import UpscaledFile
from sesr_jax.upscale.upscaler import Tile, Upscaler

_log = logging.getLogger(__name__)

VIDEO_FORMATS = {".mkv": "libx264", ".mov": "libx264", ".mp4": "libx264", ".webm": "libvpx-vp9"}
"""The codec that is written for each file suffix (in lower case)."""

_MOST_FRAMES = 240
_LEAST_FRAMES = 24
_WORK = 1e13
"""A segment has as many frames as take so many multiply-accumulates, within these bounds."""

_HEAD = 1 << 20  # bytes of a source that are compared

_AHEAD = 2
"""How many frames or packets wait between two of the threads that decode, upscale and encode."""

_LATE = 1_000_000
"""A start in microseconds. A recording that starts later has the clock of its sender, which is subtracted."""


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

    What was encoded is kept in segments beside the target (`segments`) until the target is written. Whenever
    the work ends before, by a signal, an error or a loss of power, the same call goes on behind them: it
    decodes what was done and upscales the rest. It begins anew where the source, the model, the options or
    the versions are others, and where the upscaler has no fingerprint.

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
        target's suffix is not known, its codec takes no such frames, it can't be written or is the source, or
        another process upscales to it; the tile is too small for the network's halo; the network's output is
        not finite.
    """
    codec = find_video_codec(target_path)
    check_distinct(source_path, target_path)
    av = import_av()
    survey = survey_video(av, source_path)
    check_writable(target_path)
    size = (survey.first.height, survey.first.width)
    frames, pts = 0, 0
    with (
        _keep_segments(
            av, upscaler, source_path, target_path, codec, survey, f"{tile} {deinterlace}"
        ) as segments,
        open_video(av, source_path) as (source, stream),
        replace_file(target_path) as temporary,
        _explain_refusals(av, target_path),
        av.open(os.path.abspath(temporary), "w") as target,
    ):
        video, copies = add_streams(av, target, codec, upscaler, source, stream, survey.first)
        _warn(stream, survey.first, video.codec_context, deinterlace=deinterlace)
        reader = FrameReader(av, source, stream)
        start = source.start_time if (source.start_time or 0) > _LATE else 0
        late = round(Fraction(start, av.time_base) / stream.time_base)
        whole = deinterlace_frames(av, reader, stream) if deinterlace else reader
        upscale = functools.partial(
            upscale_frame, av, upscaler, name=video.codec_context.pix_fmt, tile=tile
        )

        def open_encoder() -> Any:
            with av.open(io.BytesIO(), "w", format=target.format.name) as other:
                return add_video(av, other, codec, upscaler, stream, survey.first).codec_context

        # Two threads decode and upscale the next frames while this one encodes.
        with (
            VideoEncoder(av, video, open_encoder, segments) as encoder,
            read_ahead(whole, _AHEAD) as decoded,
            read_ahead(
                _upscale_frames(av, upscale, decoded, get_file_name(stream), encoder.kept), _AHEAD
            ) as items,
        ):
            for item, large in items:
                if isinstance(item, av.Packet):
                    if item.stream.index in copies:
                        _start_earlier(item, Fraction(start, av.time_base))
                        item.stream = copies[item.stream.index]
                        target.mux(item)
                    continue
                if item.pts is not None:
                    pts = item.pts - late
                elif frames:  # a bare stream, whose frames have no times
                    pts += find_frame_duration(stream)
                if large is not None:
                    large.pts, large.time_base = pts, stream.time_base
                    large.duration = item.image.duration or find_frame_duration(stream)
                for packet in encoder.encode(large, pts):
                    target.mux(packet)
                frames += 1
                if progress:
                    progress(frames, max(frames, survey.packets))
            for packet in encoder.finish():
                target.mux(packet)
    return UpscaledFile(
        source=source_path,
        target=target_path,
        input_size=size,
        output_size=(upscaler.scale * size[0], upscaler.scale * size[1]),
        frames=frames,
        damaged_frames=reader.damaged + survey.missing,
    )


def _keep_segments(
    av: Any,
    upscaler: Upscaler,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    codec: str,
    survey: Survey,
    options: str,
) -> contextlib.AbstractContextManager[Segments | None]:
    """Returns what gives a block the segments of a job; None for a video that is one segment.

    A target that is no file, such as a pipe, has no segments, and neither has an upscaler that cannot be
    recognised.
    """
    first, place = survey.first, pathlib.Path(target)
    macs = (upscaler.macs or 0) * first.height * first.width
    length = max(_LEAST_FRAMES, min(_MOST_FRAMES, int(_WORK / macs))) if macs else _MOST_FRAMES
    is_file = place.is_file() or not place.exists()
    if survey.packets <= length or upscaler.fingerprint is None or not is_file:
        return contextlib.nullcontext()
    with open(source, "rb") as file:
        facts = os.fstat(file.fileno())
        head = hashlib.sha256(file.read(_HEAD)).hexdigest()
    encoding = codec, OPTIONS.get(codec), length
    job = {
        "source": f"{facts.st_size} bytes of {facts.st_mtime_ns}: {head}",
        "model": f"{upscaler.fingerprint()} {upscaler.extent} {upscaler.tile}",
        "set of options": options,
        "version": f"{__version__}, {av.__version__} {av.library_versions}, {encoding}",
    }
    return open_segments(target, job, length)


def _upscale_frames(
    av: Any, upscale: Callable[[Any], Any], items: Iterable[Any], name: str, kept: int
) -> Iterator[tuple[Any, Any]]:
    """Yields each packet with None, and each frame with the upscaled one, which repeated frames share.

    The first `kept` frames come with None too.
    """
    frames, large = 0, None
    for item in items:
        if isinstance(item, av.Packet):
            yield item, None
            continue
        frames += 1
        if frames <= kept:
            yield item, None
            continue
        if large is None or not item.is_repeated:
            try:
                large = upscale(item.image)
            except InputError as error:
                raise InputError(f"{name}, frame {frames - 1}: {error}") from error
        yield item, large


def _start_earlier(packet: Any, seconds: Fraction) -> None:
    """Moves the times of a packet by so many seconds towards the start."""
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
            find_light_levels(first) and context.codec.name not in LIGHT_CODECS,
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
            _log.warning("%s %s.", get_file_name(stream), loss)
