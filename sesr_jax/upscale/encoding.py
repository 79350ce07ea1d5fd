"""Encoding a video: its streams, and its frames in segments.

    video, copies = add_streams(av, target, "libx264", upscaler, source, stream, first)
    with VideoEncoder(av, video, open_encoder, segments) as encoder:
        for packet in encoder.encode(frame, pts): target.mux(packet)
        for packet in encoder.finish(): target.mux(packet)

The module `av` is PyAV, which the caller imports.
"""

import collections
import contextlib
import io
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.upscale.decoding import find_frame_rate, get_file_name
from sesr_jax.upscale.frames import (
    WITH_ALPHA,
    choose_pixel_format,
    complete_colour_tags,
    find_matrix_and_range,
)
from sesr_jax.upscale.light import find_light_levels
from sesr_jax.upscale.segments import EncodedPacket, Segments
from sesr_jax.upscale.upscaler import Upscaler

_log = logging.getLogger(__name__)

OPTIONS = {
    "libx264": {"crf": "16", "rc-lookahead": "10", "bf": "3", "b-pyramid": "normal"},
    "libvpx-vp9": {"crf": "20", "cpu-used": "4", "row-mt": "1", "lag-in-frames": "10"},
}
"""The options of each codec: a constant quality, at which compression is hard to see.

Each frame that is looked ahead is held in memory.
"""

_REORDERED = {"libx264": 2}
"""How many packets later than in the order of time one may come, by those options; 0 for other codecs."""

_ALPHA = "matroska_block_additional"

_ENCODING_FACTS = (
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "bps"),
    *("number_of_bytes", "number_of_frames", "_statistics", "alpha_mode"),
)
"""What the keys of metadata about one encoding begin with, in lower case."""

LIGHT_CODECS = ("libx264",)
"""Codecs that are told the static light levels of HDR."""


def add_streams(
    av: Any, target: Any, codec: str, upscaler: Upscaler, source: Any, stream: Any, first: Any
) -> tuple[Any, dict[int, Any]]:
    """Opens the encoder and writes the header.

    Args:
      av: PyAV.
      target: the container to write.
      codec: that of the video, such as "libx264".
      upscaler: what upscales.
      source: the container that is read.
      stream: its video stream.
      first: the first frame of that.

    Returns:
      The video stream of `target`, and its other streams by their indices in `source`.

    Raises:
      InputError: as `add_video`.
    """
    video, copies = None, {}
    for each in source.streams:
        if each.index == stream.index:
            video = add_video(av, target, codec, upscaler, stream, first)
        elif each.type == "data" and each.name == "bin_data" and source.chapters():
            continue  # MP4 keeps its chapters there, which are written anew
        elif (copy := _add_copy(av, target, each)) is not None:
            copies[each.index] = copy
    target.metadata.update(_without_encoding_facts(source.metadata))
    target.set_chapters(source.chapters())
    target.start_encoding()
    return video, copies


def add_video(av: Any, target: Any, codec: str, upscaler: Upscaler, stream: Any, first: Any) -> Any:
    """Adds the stream of the upscaled `stream` to `target`, opens its encoder, and returns it.

    Raises:
      InputError: the codec does not encode frames of the upscaled size.
    """
    height, width = size = (upscaler.scale * first.height, upscaler.scale * first.width)
    options = dict(OPTIONS.get(codec, {}))
    if codec in LIGHT_CODECS and (light := find_light_levels(first)):
        options["x264-params"] = light
    video = target.add_stream(codec, rate=find_frame_rate(stream), options=options)
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
            f"{get_file_name(stream)} would have {width}×{height} pixels, which {codec} does not encode "
            f"({error}); choose a smaller scale, or another format."
        ) from error
    return video


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
            get_file_name(stream),
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


class VideoEncoder:
    """Encodes the frames of a video, segment by segment, or restores the packets of kept segments.

    Each segment has an encoder of its own, so that it begins with a key frame and depends on no other one.
    Only the times of decoding run through all of them.

    Attributes:
      kept: how many frames from the first one on are encoded already, and need not be upscaled.
    """

    def __init__(
        self, av: Any, video: Any, open_encoder: Callable[[], Any], segments: Segments | None
    ) -> None:
        """Begins with the first frame.

        Args:
          av: PyAV.
          video: the stream that gets the packets, with an open encoder.
          open_encoder: opens another encoder such as that of `video`.
          segments: where the segments are kept; None for a video that is encoded in one piece.
        """
        self._av, self._video, self._open, self._segments = av, video, open_encoder, segments
        self._encoder: Any = None if segments else video.codec_context
        self._writing = contextlib.ExitStack()
        self._write: Callable[[EncodedPacket], None] | None = None
        self._restored: Iterator[EncodedPacket] = iter(())
        self._frames = self._packets = 0
        self._times: collections.deque[int] = collections.deque()
        self._reordered = _REORDERED.get(video.codec_context.name, 0)
        self._kept = segments.kept if segments else 0
        self.kept = self._kept * segments.length if segments else 0

    def __enter__(self) -> "VideoEncoder":
        return self

    def __exit__(self, *error: Any) -> None:
        self._writing.__exit__(*error)

    def encode(self, frame: Any, pts: int) -> Iterator[Any]:
        """Yields the packets that are ready when the next frame is encoded.

        Args:
          frame: the frame; None for one of the kept ones.
          pts: its time, in the stream's time base.

        Raises:
          InputError: the file system refuses a segment.
        """
        if self._segments:
            number, place = divmod(self._frames, self._segments.length)
            if place == 0:
                yield from self.finish()
                self._begin(number)
        self._frames += 1
        self._times.append(pts)
        if frame is None:
            yield from map(self._restore, itertools.islice(self._restored, 1))
        else:
            yield from map(self._keep, self._encoder.encode(frame))

    def finish(self) -> Iterator[Any]:
        """Yields the packets of the segment that are left; behind them it is kept.

        Raises:
          InputError: the file system refuses the segment.
        """
        yield from map(self._restore, self._restored)
        if self._encoder is not None:
            yield from map(self._keep, self._encoder.encode(None))
            self._encoder = None
        self._writing.close()

    def _begin(self, number: int) -> None:
        assert self._segments is not None
        if number < self._kept:
            self._restored = self._segments.read(number)
        else:
            self._encoder = self._open()
            self._write = self._writing.enter_context(self._segments.write(number))

    def _keep(self, packet: Any) -> Any:
        """Gives a packet its place in the whole video, and writes it to the segment."""
        self._put_in_place(packet)
        if self._write:
            self._write(
                EncodedPacket(
                    pts=packet.pts,
                    dts=packet.dts,
                    duration=packet.duration or 0,
                    is_keyframe=packet.is_keyframe,
                    data=bytes(packet),
                    alpha=bytes(packet.get_sidedata(_ALPHA)),
                )
            )
        return packet

    def _restore(self, kept: EncodedPacket) -> Any:
        """Returns a packet of a segment as the encoder gave it."""
        packet = self._av.Packet(kept.data)
        packet.pts, packet.dts, packet.duration = kept.pts, kept.dts, kept.duration
        packet.time_base, packet.is_keyframe = self._video.codec_context.time_base, kept.is_keyframe
        if kept.alpha:
            kind = self._av.packet.packet_sidedata_type_from_literal(_ALPHA)
            alpha = self._av.packet.PacketSideData(kind, len(kept.alpha))
            alpha.update(kept.alpha)
            packet.set_sidedata(alpha)
        self._put_in_place(packet)
        return packet

    def _put_in_place(self, packet: Any) -> None:
        """Gives a packet its stream, and the time of decoding that one encoder for all would give it.

        That is the time of a frame some places before it, which may lie in the segment before.
        """
        packet.stream = self._video
        if self._packets >= self._reordered:
            packet.dts = self._times.popleft()
        self._packets += 1
