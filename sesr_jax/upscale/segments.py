"""The segments of a video that is being upscaled: what a killed job leaves to the same command.

    with open_segments("large.mp4", job, length=240) as segments:
        for packet in segments.read(0): ...         # where segments.kept says that there is one
        with segments.write(1) as write: write(packet)

A segment is a file with the packets of so many frames. The first of them is a key frame and none needs a
packet of another segment, so that a video of all the packets is the video. The files lie in a folder beside
the target, `.large.mp4.segments`, together with a description of the job. Segments of another job are
dropped. At the end of a job the folder is removed.

A segment's file is a zip archive, which has a checksum for each packet: a damaged one is made anew.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping

from sesr_jax.errors import InputError
from sesr_jax.files import lock_folder, make_refusal, replace_file, write_file
from sesr_jax.schema import build
from sesr_jax.untrusted import parse_json, read_bytes, refuse_damaged

_log = logging.getLogger(__name__)

Job = Mapping[str, str]
"""What decides the frames of an upscaled video, by what it is called in messages."""

_JOB = "job.json"
_SEGMENT = re.compile(r"\d{6}\.zip")
_OURS = re.compile(rf"job\.json|{_SEGMENT.pattern}|\.sesr-[0-9a-f]{{16}}\.(json|zip)")
_FACTS = "packets.json"
_LONGEST_NAME = 200  # bytes; file systems allow 255


@dataclasses.dataclass(frozen=True)
class EncodedPacket:
    """A packet of a video, with times in the time base of its stream.

    Attributes:
      pts: when its frame is shown.
      dts: when it is decoded.
      duration: how long its frame is shown.
      is_keyframe: whether the decoder may start here.
      data: what the encoder wrote.
      alpha: what it wrote for WebM's alpha, which lies beside the frame; empty where there is none.
    """

    pts: int
    dts: int
    duration: int
    is_keyframe: bool
    data: bytes
    alpha: bytes = b""


class Segments:
    """The segments of one job, in a folder that this process has locked.

    Attributes:
      length: how many frames a segment has; the last one of a video has as many as are left.
    """

    def __init__(self, folder: pathlib.Path, length: int) -> None:
        self._folder, self.length = folder, length

    @property
    def kept(self) -> int:
        """How many segments are there."""
        return next(n for n in itertools.count() if not self._find_path(n).exists())

    def read(self, number: int) -> Iterator[EncodedPacket]:
        """Yields the packets of a segment, in the order of decoding.

        Raises:
          InputError: it is damaged.
        """
        path = self._find_path(number)
        with refuse_damaged(f"{path} is damaged: delete it"), zipfile.ZipFile(path) as archive:
            if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
                raise InputError(f"{path} is compressed, as no segment is: delete it.")
            text = archive.read(_FACTS)
            facts = build(
                tuple[tuple[int, int, int, bool, bool], ...], parse_json(text, _FACTS), _FACTS
            )
            for index, (pts, dts, duration, is_keyframe, has_alpha) in enumerate(facts):
                yield EncodedPacket(
                    pts=pts,
                    dts=dts,
                    duration=duration,
                    is_keyframe=is_keyframe,
                    data=archive.read(f"{index}"),
                    alpha=archive.read(f"{index}.alpha") if has_alpha else b"",
                )

    @contextlib.contextmanager
    def write(self, number: int) -> Iterator[Callable[[EncodedPacket], None]]:
        """Gives the block a function that writes a packet; at its end the segment is there.

        Raises:
          InputError: the file system refuses.
        """
        facts: list[tuple[int, int, int, bool, bool]] = []
        with (
            replace_file(self._find_path(number)) as temporary,
            zipfile.ZipFile(temporary, "w") as archive,
        ):

            def write(packet: EncodedPacket) -> None:
                archive.writestr(f"{len(facts)}", packet.data)
                if packet.alpha:
                    archive.writestr(f"{len(facts)}.alpha", packet.alpha)
                times = packet.pts, packet.dts, packet.duration
                facts.append((*times, packet.is_keyframe, bool(packet.alpha)))

            yield write
            archive.writestr(_FACTS, json.dumps(facts))

    def drop_damaged(self) -> None:
        """Removes the first segment that is missing or damaged, and what follows it.

        Raises:
          InputError: as `drop`.
        """
        whole = 0
        with contextlib.suppress(InputError):
            while self._find_path(whole).exists():
                for _ in self.read(whole):
                    pass
                whole += 1
        self.drop(whole)

    def drop(self, first: int = 0) -> None:
        """Removes the segments from the one with the number `first` on.

        Raises:
          InputError: the file system refuses.
        """
        for path in self._folder.glob("*.zip"):
            if _SEGMENT.fullmatch(path.name) and int(path.stem) >= first:
                try:
                    path.unlink()
                except OSError as error:
                    raise make_refusal(path, error) from error

    def _find_path(self, number: int) -> pathlib.Path:
        return self._folder / f"{number:06}.zip"


@contextlib.contextmanager
def open_segments(target: str | os.PathLike[str], job: Job, length: int) -> Iterator[Segments]:
    """Gives the block the segments of the video `target`, with those that the same job left.

    It logs what is kept or dropped. If the block raises, its segments stay; else they are removed.

    Args:
      target: the file that is to be written at last.
      job: what decides its frames.
      length: how many frames a segment has.

    Raises:
      InputError: another process upscales to the same file, or the file system refuses.
    """
    folder = _find_folder(target)
    with lock_folder(folder):
        segments = Segments(folder, length)
        try:
            _take_over(segments, folder, target, job)
            yield segments
        except BaseException:
            if segments.kept:
                _log.warning(
                    "%s: the first %d frames are kept in %s; the same command goes on behind them.",
                    os.fspath(target),
                    segments.kept * length,
                    folder,
                )
            else:
                _remove(folder)
            raise
        _remove(folder)


def _find_folder(target: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the folder of a file's segments, beside the file that a link leads to."""
    place = pathlib.Path(os.path.realpath(target))
    name = os.fsencode(place.name)
    short = place.name if len(name) <= _LONGEST_NAME else hashlib.sha256(name).hexdigest()
    return place.with_name(f".{short}.segments")


def _take_over(
    segments: Segments, folder: pathlib.Path, target: str | os.PathLike[str], job: Job
) -> None:
    """Keeps the whole segments that the same job left, and drops all others."""
    before: Job = {}
    with contextlib.suppress(InputError):
        before = build(Job, parse_json(read_bytes(folder / _JOB), _JOB), _JOB)
    changed = [name for name in job if before.get(name) != job[name]]
    if not changed:
        segments.drop_damaged()
        if segments.kept:
            frames = segments.kept * segments.length
            _log.info("%s: the first %d frames are there already.", os.fspath(target), frames)
        return
    if segments.kept:
        _log.warning(
            "%s begins anew: what an earlier job left of it had another %s.",
            os.fspath(target),
            " and another ".join(changed),
        )
    segments.drop()
    write_file(folder / _JOB, json.dumps(dict(job)))


def _remove(folder: pathlib.Path) -> None:
    """Removes what this module wrote to a folder, and the folder itself unless it holds something else."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _OURS.fullmatch(path.name):
                path.unlink()
        folder.rmdir()
