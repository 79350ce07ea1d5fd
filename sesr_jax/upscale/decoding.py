"""Decoding the frames of a video, with an account of those that are damaged or missing.

A packet that cannot be decoded costs a frame and not the film: the frame before it is shown again in its
place. Every such frame is counted, and so are those that the decoder says it has mended.

The module `av` is PyAV, which `import_av` gives.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from sesr_jax.data.image_files import FORMATS
from sesr_jax.errors import InputError, require_extra

_log = logging.getLogger(__name__)

_HIDDEN = ("av1", "mpeg4", "msmpeg4v3", "vp8", "vp9")
"""Codecs in which an undamaged packet may hold no frame that is shown."""

_RECORDED = ("h264", "hevc", "mpeg", "mpegts", "mpegvideo")
"""Formats without a header, which may begin with frames that need others before them."""

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""The decoders that read the alpha which WebM has beside the frames of a codec."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What one reading of a video's packets tells.

    Attributes:
      first: the first frame that can be decoded.
      packets: the number of the video's packets.
      missing: how many frames fewer the stream has than its header says.
    """

    first: Any
    packets: int
    missing: int


def import_av() -> Any:
    """Returns PyAV.

    Raises:
      InputError: it is not installed.
    """
    with require_extra("video", "reading and writing videos"):
        import av
    return av


@contextlib.contextmanager
def open_video(av: Any, path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """Opens a file, and gives it and its first stream of moving images to the block.

    Raises:
      InputError: it is missing, or no video.
    """
    name = os.fspath(path)
    if not pathlib.Path(path).is_file():
        raise InputError(f"{name} is not a file.")
    if pathlib.Path(path).suffix.lower() in FORMATS:
        raise InputError(f"{name} is an image, of which no video can be made.")
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


def make_decoder(av: Any, stream: Any) -> Any:
    """Returns what decodes the packets of a stream, with its alpha where it has one."""
    own = stream.codec_context
    if has_alpha_beside(stream) and own.name in _ALPHA_DECODERS:
        with contextlib.suppress(av.FFmpegError, ValueError):  # such as where libvpx is missing
            decoder = av.CodecContext.create(_ALPHA_DECODERS[own.name], "r")
            if own.extradata:
                decoder.extradata = own.extradata
            return decoder
    return own


def has_alpha_beside(stream: Any) -> bool:
    """Returns whether a WebM stream says that it has alpha, which lies beside its frames."""
    return any(k.lower() == "alpha_mode" and v == "1" for k, v in stream.metadata.items())


def survey_video(av: Any, path: str | os.PathLike[str]) -> Survey:
    """Reads the packets of a file once.

    Raises:
      InputError: as `open_video`; no frame can be decoded, or the file ends more than a second, or a quarter,
        before its stated duration.
    """
    first, total, end, end_of_video = None, 0, 0.0, 0.0
    with open_video(av, path) as (container, stream):
        decoder = make_decoder(av, stream)
        try:
            for packet in container.demux():
                is_video = packet.stream.index == stream.index
                if is_video:
                    total += packet.size > 0
                    if first is None:
                        with contextlib.suppress(av.FFmpegError):
                            first = next(iter(decoder.decode(packet)), None)
                if packet.pts is not None:
                    last = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    end = max(end, last)
                    if is_video:
                        end_of_video = max(end_of_video, last)
        except av.FFmpegError as error:
            raise _explain_damage(stream, total, error.strerror) from error
        if first is None:
            raise InputError(f"{os.fspath(path)} holds no frame that can be decoded; replace it.")
        # A Matroska file that was cut ends without an error, and its last packets may have no duration.
        start = max(0, container.start_time or 0) / av.time_base
        duration = start + (container.duration or 0) / av.time_base
        step = float(find_frame_duration(stream) * stream.time_base)
        if 0 < end < duration - min(1.0, (duration - start) / 4) - step:
            raise _explain_damage(stream, total, f"it ends at {end:.1f} s of {duration:.1f} s")
        stated = _find_end(av, container, stream)
        missing = int((stated - end_of_video) / step + 0.5) if stated and end_of_video else 0
        if missing <= 1:  # which may be rounding
            missing = 0
        if "mp4" in container.format.name:  # others count packets without content too
            missing = max(missing, stream.frames - total)
    return Survey(first=first, packets=total, missing=missing)


def _find_end(av: Any, container: Any, stream: Any) -> float | None:
    """Returns when the video stream ends by its header, in seconds; None where none tells."""
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    timed = [each for each in container.streams if each.type in ("audio", "video", "subtitle")]
    if len(timed) == 1 and container.duration:
        return (max(0, container.start_time or 0) + container.duration) / av.time_base
    return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodedFrame:
    """A frame to show.

    Attributes:
      image: PyAV's frame; of a repeated one, that which was decoded before it.
      pts: its time in the stream's time base; None where the stream has no times.
      is_repeated: whether it stands for one that could not be decoded.
    """

    image: Any
    pts: int | None
    is_repeated: bool = False


class FrameReader:
    """Yields the frames of `stream` and the packets of all others, in the order of the file.

    Attributes:
      damaged: how many frames so far could not be decoded, or were mended by the decoder.
    """

    def __init__(self, av: Any, source: Any, stream: Any) -> None:
        self._av, self._source, self._stream = av, source, stream
        self._decoder = make_decoder(av, stream)
        self._pending: set[int] = set()  # the times of packets whose frames did not come yet
        self._failed: set[int] = set()
        self._first_packet: Any = None
        self._last: Any = None  # the last frame
        self._count = 0
        self._interlaced = False
        self.damaged = 0

    def __iter__(self) -> Iterator[Any]:
        """Yields a `DecodedFrame` or a packet.

        Raises:
          InputError: the file cannot be read on, or its frames change their size.
        """
        try:
            for packet in self._source.demux():
                if packet.stream.index == self._stream.index:
                    yield from self._decode(packet)
                elif packet.size:  # the last, empty packets have no stream_index
                    yield packet
        except self._av.FFmpegError as error:
            raise _explain_damage(self._stream, self._count, error.strerror) from error
        yield from self._repeat(sorted(self._pending))

    def _decode(self, packet: Any) -> Iterator[DecodedFrame]:
        """Yields the frames that a packet of the video completes, and those that stand for lost ones.

        Raises:
          InputError: as `_check_size`.
        """
        if packet.size:
            self._first_packet = self._first_packet or packet
            if packet.pts is not None and not packet.is_discard:
                self._pending.add(packet.pts)
        try:
            frames = self._decoder.decode(packet)
        except self._av.FFmpegError:
            if packet.pts is not None:
                self._failed.add(packet.pts)
            elif self._last is not None:  # in a bare stream, whose frames have no times
                self.damaged += 1
                yield DecodedFrame(image=self._last, pts=None, is_repeated=True)
            return
        for frame in frames:
            self._check_size(frame)
            if frame.pts is not None:
                self._pending.discard(frame.pts)
                if self._last is None:
                    self._pass_over(frame.pts)
                yield from self._repeat(sorted(pts for pts in self._pending if pts < frame.pts))
            self._interlaced |= frame.interlaced_frame
            self.damaged += frame.is_corrupt
            self._last = frame
            self._count += 1
            yield DecodedFrame(image=frame, pts=frame.pts)

    def _check_size(self, frame: Any) -> None:
        """Checks that a frame has the size of those before it.

        Raises:
          InputError: it has another size.
        """
        first = self._last or frame
        if (frame.width, frame.height) != (first.width, first.height):
            raise InputError(
                f"{get_file_name(self._stream)} changes from {first.width}×{first.height} to "
                f"{frame.width}×{frame.height} after {self._count} frames, and a video has one size; cut it "
                "there."
            )

    def _pass_over(self, start: int) -> None:
        """Drops what stands before the first frame, as players do; a recording may begin anywhere."""
        before = {pts for pts in self._pending if pts < start}
        is_cut = self._source.format.name in _RECORDED and not self._first_packet.is_keyframe
        if self._first_packet.pts in before and not is_cut:
            self.damaged += len(before)
        self._pending -= before

    def _repeat(self, times: list[int]) -> Iterator[DecodedFrame]:
        """Yields the last frame again for each of the times at which a frame was lost."""
        for pts in times:
            self._pending.discard(pts)
            if self._is_lost(pts):
                self.damaged += 1
                yield DecodedFrame(image=self._last, pts=pts, is_repeated=True)

    def _is_lost(self, pts: int) -> bool:
        """Returns whether the packet of that time should have given a frame of its own."""
        # The second field of an interlaced frame may be a packet.
        one_each = not self._interlaced and self._stream.codec_context.name not in _HIDDEN
        return one_each or pts in self._failed


def _explain_damage(stream: Any, frames: int, reason: str) -> InputError:
    return InputError(
        f"{get_file_name(stream)} is damaged or cut short after {frames} frames ({reason}); fetch it again "
        "or repair it."
    )


def get_file_name(stream: Any) -> str:
    """Returns the name of the file that `stream` is read from."""
    return pathlib.Path(stream.container.name).name


def find_frame_duration(stream: Any) -> int:
    """Returns how long a frame lasts at the stream's average rate, in its time base."""
    return max(1, round(1 / (find_frame_rate(stream) * stream.time_base)))


def find_frame_rate(stream: Any) -> Any:
    """Returns the average rate of a stream's frames, or 25 where none is known."""
    return stream.average_rate or stream.guessed_rate or 25
