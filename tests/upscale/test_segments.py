"""Jobs that ended before their end go on, and every way to the end gives the same film."""

import dataclasses
import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from sesr_jax.errors import InputError, Stopped
from sesr_jax.files import lock_folder
from sesr_jax.models import network
from sesr_jax.upscale import (
    bicubic_upscaler,
    upscale_video,
    video,
)
from sesr_jax.upscale.fingerprints import fingerprint_network
from sesr_jax.upscale.segments import EncodedPacket, open_segments
from sesr_jax.upscale.value_range import with_range
from tests.films import damage_film, write_film

av = pytest.importorskip("av")

_LENGTH = 8
_COUNT = 29
_TIMES = np.cumsum(np.random.default_rng(0).integers(20, 200, _COUNT)).tolist()


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Makes short segments."""
    monkeypatch.setattr(video, "_MOST_FRAMES", _LENGTH)
    monkeypatch.setattr(video, "_LEAST_FRAMES", _LENGTH)


def _describe(path):
    """All that a file says: streams and their packets, and chapters."""
    with av.open(str(path)) as source:
        streams = [
            (s.type, s.time_base, s.start_time, dict(s.metadata), s.codec_context.extradata)
            for s in source.streams
        ]
        packets = [[] for _ in streams]
        for packet in source.demux():
            if packet.size:
                found = EncodedPacket(
                    pts=packet.pts,
                    dts=packet.dts,
                    duration=packet.duration,
                    is_keyframe=packet.is_keyframe,
                    data=bytes(packet),
                    alpha=bytes(packet.get_sidedata("matroska_block_additional")),
                )
                packets[packet.stream.index].append(found)
        return streams, packets, source.chapters(), source.duration


def _counting(upscaler, seen):
    def function(x):
        seen.append(x.shape)
        return upscaler.function(x)

    return dataclasses.replace(upscaler, function=function)


def _stop_behind(frames):
    def progress(done, total):
        if done == frames:
            raise Stopped("stopped")

    return progress


def _write_mp4(path):
    write_film(path, times=_TIMES, sound="aac", chapters=[], size=(32, 48))


def _write_alpha(path):
    write_film(path, "ffv1", "yuva420p", times=_TIMES, sound="libopus")


def _write_ten_bits(path):
    write_film(path, fmt="yuv420p10le", times=_TIMES)


def _write_lost(path):
    """Frames are lost on both sides of a cut, and at the end."""
    whole = path.with_name("whole.mp4")
    write_film(whole, times=_TIMES, sound="aac", max_b_frames=0, gop_size=1)
    damage_film(whole, path, [6, 7, 8, 9, 16, 28])


def _write_late(path):
    """A recording that begins hours after midnight."""
    whole = path.with_name("whole.mkv")
    write_film(whole, times=_TIMES, sound="aac")
    late = {"output_ts_offset": "43200"}
    with av.open(str(whole)) as source, av.open(str(path), "w", options=late) as target:
        streams = [target.add_stream_from_template(s) for s in source.streams]
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)


_CASES = {
    "times that are uneven": ("a.mp4", _write_mp4, "b.mp4", {}),
    "another container": ("a.mp4", _write_mp4, "b.mkv", {}),
    "alpha": ("a.mkv", _write_alpha, "b.webm", {}),
    "ten bits": ("a.mkv", _write_ten_bits, "b.mov", {}),
    "lost frames": ("a.mp4", _write_lost, "b.mp4", {}),
    "a broadcast": ("a.ts", _write_late, "b.mp4", {}),
    "a bare stream": ("a.h264", _write_mp4, "b.mp4", {}),
    "interlaced": ("a.mkv", _write_ten_bits, "b.mp4", {"deinterlace": True}),
}


@pytest.mark.parametrize("case", _CASES)
def test_every_way_to_the_end_gives_the_same_film(tmp_path, monkeypatch, case):
    name, write, target, options = _CASES[case]
    if name.endswith(".h264"):
        write_film(tmp_path / name, times=range(0, 100 * _COUNT, 100))
    else:
        write(tmp_path / name)
    (tmp_path / "whole").mkdir()
    source, whole, out = tmp_path / name, tmp_path / "whole" / target, tmp_path / target
    frames = []
    want = upscale_video(_counting(bicubic_upscaler(2), frames), source, whole, **options)
    upscaled = len(frames)
    stops = sorted(random.Random(case).sample(range(1, want.frames), 3))
    for stop in stops:
        with pytest.raises(Stopped):
            upscale_video(bicubic_upscaler(2), source, out, progress=_stop_behind(stop), **options)
        assert not out.exists()
    frames.clear()
    done = upscale_video(_counting(bicubic_upscaler(2), frames), source, out, **options)
    assert dataclasses.replace(done, target=whole) == want
    streams, packets, chapters, duration = _describe(out)
    assert (streams, packets, chapters, duration) == _describe(whole)
    skipped = max(0, stops[-1] - 1) // _LENGTH * _LENGTH
    assert 0 <= len(frames) - (upscaled - skipped) <= want.damaged_frames
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []

    # The cuts change neither times nor the order of decoding.
    monkeypatch.setattr(video, "_MOST_FRAMES", 1000)
    monkeypatch.setattr(video, "_LEAST_FRAMES", 1000)
    upscale_video(bicubic_upscaler(2), source, whole, **options)
    _, others, _, other_duration = _describe(whole)
    for stream, other in zip(packets, others, strict=True):
        assert sorted(p.pts for p in stream) == sorted(p.pts for p in other)
        assert stream[0].dts == other[0].dts
    assert duration == other_duration
    for before, after in itertools.pairwise(packets[0]):
        assert before.dts is None or before.dts < after.dts <= after.pts


def _stop(upscaler, source, out, frames, **options):
    with pytest.raises(Stopped):
        upscale_video(upscaler, source, out, progress=_stop_behind(frames), **options)


@pytest.fixture(autouse=True)
def _take_warnings_alone(caplog):
    """A verb that ran in this process lets the package say more."""
    caplog.set_level(logging.WARNING, logger="sesr_jax")


@pytest.fixture
def job(tmp_path):
    """A video, and what a job left that ended within the third segment."""
    _write_mp4(tmp_path / "a.mp4")
    _stop(bicubic_upscaler(2), tmp_path / "a.mp4", tmp_path / "b.mp4", 2 * _LENGTH + 3)
    return tmp_path


def _finish(job, upscaler=None, **options):
    """How many frames are upscaled when the job goes on to its end."""
    frames = []
    upscaler = _counting(upscaler or bicubic_upscaler(2), frames)
    upscale_video(upscaler, job / "a.mp4", job / "b.mp4", **options)
    assert not [path for path in job.iterdir() if path.name.startswith(".")]
    return len(frames)


def test_what_is_kept_is_said_and_where(job, caplog):
    _stop(bicubic_upscaler(2), job / "a.mp4", job / "b.mp4", 2 * _LENGTH + 3)
    (said,) = (record.getMessage() for record in caplog.records)
    assert f"{2 * _LENGTH} frames" in said
    assert str(job / ".b.mp4.segments") in said


@pytest.mark.parametrize("changed", ["source", "model", "set of options", "version", "nothing"])
def test_a_job_that_changed_begins_anew(job, caplog, monkeypatch, changed):
    options, upscaler = {}, None
    if changed == "source":
        os.utime(job / "a.mp4", (0, 0))
    elif changed == "model":
        upscaler = dataclasses.replace(bicubic_upscaler(2), fingerprint=lambda: "another")
    elif changed == "set of options":
        options = {"tile": 16}
    elif changed == "version":
        monkeypatch.setattr(video, "__version__", "0.0")
    frames = _finish(job, upscaler, **options)
    said = [record.getMessage() for record in caplog.records]
    if changed == "nothing":
        assert (frames, said) == (_COUNT - 2 * _LENGTH, [])
    else:
        assert len(said) == 1
        assert f"another {changed}." in said[0]
        assert frames >= _COUNT


@pytest.mark.parametrize("hurt", ["flipped", "cut", "missing", "no job", "nonsense"])
def test_a_damaged_segment_is_made_anew(job, hurt):
    folder = job / ".b.mp4.segments"
    second, described = folder / "000001.zip", folder / "job.json"
    content = second.read_bytes()
    if hurt == "flipped":
        middle = content.index(b"PK", 200) - 20  # within a packet
        second.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif hurt == "cut":
        second.write_bytes(content[: len(content) // 2])
    elif hurt == "missing":
        second.unlink()
    elif hurt == "no job":
        described.unlink()
    else:
        described.write_text(json.dumps([1]))
    left = 2 if hurt in ("no job", "nonsense") else 1
    assert _finish(job) == _COUNT - (2 - left) * _LENGTH


def test_one_process_at_a_time_works_on_a_file(job):
    with lock_folder(job / ".b.mp4.segments"), pytest.raises(InputError, match="another process"):
        upscale_video(bicubic_upscaler(2), job / "a.mp4", job / "b.mp4")
    assert _finish(job) == _COUNT - 2 * _LENGTH


def test_an_upscaler_that_cannot_be_recognised_has_no_segments(tmp_path):
    _write_mp4(tmp_path / "a.mp4")
    unknown = dataclasses.replace(bicubic_upscaler(2), fingerprint=None)
    _stop(unknown, tmp_path / "a.mp4", tmp_path / "b.mp4", _COUNT - 1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_job_that_ends_early_leaves_no_folder(tmp_path):
    _write_mp4(tmp_path / "a.mp4")
    _stop(bicubic_upscaler(2), tmp_path / "a.mp4", tmp_path / "b.mp4", _LENGTH)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_what_others_put_into_the_folder_stays(job):
    (job / ".b.mp4.segments" / "notes.txt").write_text("mine")
    upscale_video(bicubic_upscaler(2), job / "a.mp4", job / "b.mp4")
    assert [path.name for path in (job / ".b.mp4.segments").iterdir()] == ["notes.txt"]


def test_names_as_long_as_the_file_system_takes(tmp_path):
    _write_mp4(tmp_path / "a.mp4")
    name = 246 * "b" + ".mp4"
    _stop(bicubic_upscaler(2), tmp_path / "a.mp4", tmp_path / name, 2 * _LENGTH)
    assert upscale_video(bicubic_upscaler(2), tmp_path / "a.mp4", tmp_path / name).frames == _COUNT


def test_packets_come_back_as_they_were(tmp_path):
    random_bytes = random.Random(0).randbytes
    packets = [
        EncodedPacket(
            pts=7 * n - 2**40,
            dts=-n,
            duration=n,
            is_keyframe=n == 0,
            data=random_bytes(n + 1),
            alpha=random_bytes(3 * (n % 2)),
        )
        for n in range(5)
    ]
    with open_segments(tmp_path / "x.mp4", {"source": "a"}, 5) as segments:
        with segments.write(0) as write:
            for packet in packets:
                write(packet)
        assert (segments.kept, list(segments.read(0))) == (1, packets)


def test_fingerprints_differ_where_images_may():
    weights = {"params": {"w": np.arange(3, dtype=np.float32), "b": np.zeros(1, np.float32)}}
    made = network.Network(name="sesr_m3", scale=2, variables=weights)
    others = [
        dataclasses.replace(made, variables=jax.tree.map(lambda x: x + 1e-6, weights)),
        dataclasses.replace(made, variables={"params": {"w": weights["params"]["w"]}}),
        dataclasses.replace(made, options={"features": 8}),
        dataclasses.replace(made, scale=3),
        dataclasses.replace(made, scheme=dataclasses.replace(made.scheme, exclude=("head",))),
    ]
    found = [fingerprint_network(one, "xla") for one in (made, *others)]
    found.append(fingerprint_network(made, "litert"))
    bicubic = [bicubic_upscaler(2), bicubic_upscaler(3), with_range(bicubic_upscaler(2), 255)]
    found += [one.fingerprint() for one in bicubic]
    assert len(set(found)) == len(found)
    again = jax.tree.map(jax.numpy.asarray, weights)
    assert fingerprint_network(dataclasses.replace(made, variables=again), "xla") == found[0]


# A shell starts what runs in the background with Ctrl-C ignored, the tests too.
_SCRIPT = """
import signal, sys
from sesr_jax.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


def _start(folder, target):
    command = ["upscale", str(folder / "a.mp4"), str(folder / target), "--model", "sesr_m3_x2"]
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_same_command_goes_on_behind_any_end(tmp_path):
    """The real command, with its own length of segments, is ended as soon as it has some."""

    def paint(shape, index, number, *, peak):
        return np.arange(shape[1]) * 5 % 256 if number == 0 else np.full(shape, index % 256)

    length, count = 240, 900
    times = np.cumsum(np.random.default_rng(0).integers(20, 60, count)).tolist()
    write_film(tmp_path / "a.mp4", times=times, sound="aac", paint=paint)
    whole = _start(tmp_path, "whole.mp4")
    assert whole.communicate()[1] == ""
    ends = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
    random.Random(0).shuffle(ends)
    for number, end in enumerate(ends):
        process = _start(tmp_path, "b.mp4")
        segment = tmp_path / ".b.mp4.segments" / f"{number:06}.zip"
        while process.poll() is None and not segment.exists():
            time.sleep(0.002)
        process.send_signal(end)
        _, said = process.communicate()
        assert process.returncode == (-end if end == signal.SIGKILL else 128 + end)
        assert not (tmp_path / "b.mp4").exists()
        assert ("frames are there already" in said) == bool(number)
        if end != signal.SIGKILL:
            assert f"the first {(number + 1) * length} frames are kept" in said
    last = _start(tmp_path, "b.mp4")
    assert f"the first {len(ends) * length} frames are there" in last.communicate()[1]
    assert last.returncode == 0
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "whole.mp4"]
