"""When the frames of an upscaled video are shown."""

import numpy as np
import pytest

from sesr_jax.upscale import bicubic_upscaler, upscale_video
from tests.films import read_film, write_film

av = pytest.importorskip("av")


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_last_frame_lasts_as_long(tmp_path, suffix):
    """MP4 counts from one packet to the next in the order of decoding, and cannot tell it."""
    write_film(tmp_path / "a.mkv", "ffv1", times=[0, 100, 200], last=700)
    upscale_video(bicubic_upscaler(2), tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    with av.open(str(tmp_path / f"b{suffix}")) as target:
        assert target.duration == 900_000  # microseconds


@pytest.mark.parametrize("deinterlace", [False, True])
def test_bare_streams_get_the_times_of_their_rate(tmp_path, caplog, deinterlace):
    """A stream that says it is interlaced is told of it, where nothing is done about it."""
    options = {"x264-params": "tff=1:bframes=0"}
    write_film(tmp_path / "a.h264", times=[0, 100, 200], options=options)
    upscale_video(
        bicubic_upscaler(2), tmp_path / "a.h264", tmp_path / "b.mp4", deinterlace=deinterlace
    )
    assert ("is interlaced" in caplog.text) != deinterlace
    times, _, _ = read_film(tmp_path / "b.mp4")
    with av.open(str(tmp_path / "a.h264")) as source:
        step = 1 / source.streams.video[0].average_rate
        assert all(frame.pts is None for frame in source.decode(video=0))
    assert times == [0, step, 2 * step]


def test_the_clock_of_a_broadcast_is_set_back_for_all_streams(tmp_path):
    write_film(tmp_path / "a.mkv", times=range(0, 500, 100), sound="aac")
    late = {"output_ts_offset": "43200"}
    with (
        av.open(str(tmp_path / "a.mkv")) as source,
        av.open(str(tmp_path / "a.ts"), "w", options=late) as target,
    ):
        streams = [target.add_stream_from_template(s) for s in source.streams]
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    upscale_video(bicubic_upscaler(2), tmp_path / "a.ts", tmp_path / "b.mp4")
    with av.open(str(tmp_path / "a.ts")) as before, av.open(str(tmp_path / "b.mp4")) as after:
        assert before.start_time > 43e9
        assert after.duration < 1e6
        lags = [
            [float(s.start_time * s.time_base) for s in (c.streams.video[0], c.streams.audio[0])]
            for c in (before, after)
        ]
        assert abs(np.subtract(*lags[0]) - np.subtract(*lags[1])) < 1e-3


def test_a_recording_that_begins_between_key_frames_is_whole(tmp_path):
    options = {"x264-params": "scenecut=0:keyint=4:min-keyint=4:bframes=0"}
    write_film(tmp_path / "a.ts", times=range(0, 1000, 100), options=options)
    with av.open(str(tmp_path / "a.ts")) as source, av.open(str(tmp_path / "b.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number > 1:
                packet.stream = stream
                target.mux(packet)
    done = upscale_video(bicubic_upscaler(2), tmp_path / "b.ts", tmp_path / "c.mp4")
    assert (done.frames, done.damaged_frames) == (6, 0)
