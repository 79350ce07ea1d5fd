"""Videos: every frame is what its planes become by themselves, and all else is what it was.

Where codes are compared, both files are FFV1, which loses nothing.
"""

import dataclasses
import logging
import sys
from fractions import Fraction

import jax
import numpy as np
import pytest

from sesr_jax.data import imresize, write_image
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.upscale import Upscaler, bicubic_upscaler, from_network, upscale_video, video
from tests.films import UNEVEN, damage_film, read_film, read_packets, view_planes, write_film

av = pytest.importorskip("av")

_CHAPTER = {
    "id": 1,
    "start": 100,
    "end": 400,
    "time_base": Fraction(1, 1000),
    "metadata": {"title": "Act I"},
}


@pytest.fixture(scope="module")
def small() -> Upscaler:
    return from_network(
        network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4, blocks=1)
    )


@pytest.fixture
def lossless(monkeypatch):
    """Makes .mkv files of FFV1."""
    monkeypatch.setitem(video.VIDEO_FORMATS, ".mkv", "ffv1")


def _luma(upscaler, codes, peak=255, to_studio=lambda y: y, back=lambda y: y):
    y = to_studio(codes / peak).astype(np.float32)[None, ..., None]
    large = back(np.asarray(upscaler.function(y))[0, ..., 0].astype(np.float64))
    return large * peak


def _rounded(values, peak=255):
    return np.clip(np.floor(values + 0.5), 0, peak)


@pytest.mark.parametrize(
    ("fmt", "peak", "unit"),
    [
        ("yuv420p", 255, 255),
        ("yuv422p", 255, 255),
        ("yuv444p", 255, 255),
        ("gray", 255, 255),
        ("yuv420p10le", 1023, 1020),
    ],
)
def test_luma_is_the_network_s_and_chroma_bicubic(tmp_path, lossless, small, fmt, peak, unit):
    was = write_film(tmp_path / "a.mkv", "ffv1", fmt, times=[0, 100, 200])
    done = upscale_video(small, tmp_path / "a.mkv", tmp_path / "b.mkv")
    times, large, first = read_film(tmp_path / "b.mkv")
    assert first.format.name == fmt
    assert (done.frames, done.input_size, done.output_size) == (3, (32, 48), (64, 96))
    assert times == [0, Fraction(1, 10), Fraction(1, 5)]
    with av.open(str(tmp_path / "b.mkv")) as target:
        assert target.streams.video[0].average_rate == 10
    for (luma, *chroma), (large_luma, *large_chroma) in zip(was, large, strict=True):
        want = _luma(small, luma, unit)
        assert np.abs(large_luma - np.clip(want, 0, peak)).max() < 0.51
        assert len(chroma) == len(large_chroma)
        for plane, large_plane in zip(chroma, large_chroma, strict=True):
            want = _rounded(imresize(plane.astype(np.float64), 2), peak)
            np.testing.assert_array_equal(large_plane, want)


def test_full_range_is_brought_to_the_studio_range_and_back(tmp_path, lossless, small):
    was = write_film(tmp_path / "a.mkv", "ffv1", times=[0], color_range=2)
    upscale_video(small, tmp_path / "a.mkv", tmp_path / "b.mkv")
    _, large, first = read_film(tmp_path / "b.mkv")
    assert first.color_range == 2
    want = _luma(
        small, was[0][0], 255, lambda y: (16 + 219 * y) / 255, lambda y: (255 * y - 16) / 219
    )
    assert np.abs(large[0][0] - np.clip(want, 0, 255)).max() < 0.51
    studio = _luma(small, was[0][0])
    assert np.abs(large[0][0] - np.clip(studio, 0, 255)).max() > 1  # the test can tell


def test_tiles_and_fixed_sizes_give_the_same_frames(tmp_path, lossless, small):
    shapes = set()

    def function(x):
        shapes.add(x.shape)
        return small.function(x)

    write_film(tmp_path / "a.mkv", "ffv1", times=[0])
    _, (whole,), _ = _upscaled(small, tmp_path, tile=None)
    _, (tiled,), _ = _upscaled(dataclasses.replace(small, function=function), tmp_path, tile=24)
    assert shapes == {(1, 24, 24, 1)}
    shapes.clear()
    fixed = dataclasses.replace(small, function=function, tile=(20, 28))
    _, (held,), _ = _upscaled(fixed, tmp_path)
    assert shapes == {(1, 20, 28, 1)}
    for planes in (tiled, held):
        for plane, want in zip(planes, whole, strict=True):
            assert np.abs(plane.astype(int) - want).max() <= 1  # a tie that rounds either way


def _upscaled(upscaler, folder, **options):
    upscale_video(upscaler, folder / "a.mkv", folder / "b.mkv", **options)
    return read_film(folder / "b.mkv")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    write_film(
        folder / "a.mp4",
        sound="aac",
        rotation=90,
        metadata={"title": "Großes Kino", "comment": "x"},
        chapters=[_CHAPTER],
        colorspace=1,
        color_primaries=1,
        color_trc=1,
        color_range=1,
        sample_aspect_ratio=Fraction(4, 3),
    )
    calls = []
    upscale_video(
        bicubic_upscaler(2),
        folder / "a.mp4",
        folder / "b.mp4",
        progress=lambda *args: calls.append(args),
    )
    return folder, calls


def test_times_are_kept(film):
    folder, _ = film
    times, _, _ = read_film(folder / "b.mp4")
    assert times == [Fraction(ms, 1000) for ms in UNEVEN]
    with av.open(str(folder / "a.mp4")) as a, av.open(str(folder / "b.mp4")) as b:
        assert b.streams.video[0].time_base == a.streams.video[0].time_base


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_the_last_frame_lasts_as_long(tmp_path, suffix):
    """MP4 counts from one packet to the next in the order of decoding, and cannot tell it."""
    write_film(tmp_path / "a.mkv", "ffv1", times=[0, 100, 200], last=700)
    upscale_video(bicubic_upscaler(2), tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    with av.open(str(tmp_path / f"b{suffix}")) as target:
        assert target.duration == 900_000  # microseconds


def test_sound_is_copied_to_the_last_bit(film):
    folder, _ = film
    packets = read_packets(folder / "b.mp4", "audio")
    assert len(packets) > 20
    assert packets == read_packets(folder / "a.mp4", "audio")


def test_tags_are_kept(film):
    folder, _ = film
    with av.open(str(folder / "a.mp4")) as a, av.open(str(folder / "b.mp4")) as b:
        assert b.metadata["title"] == "Großes Kino"
        assert b.metadata["comment"] == "x"
        assert b.streams.audio[0].metadata["language"] == "deu"
        assert [s.type for s in b.streams] == [s.type for s in a.streams]
        assert b.chapters() == a.chapters()
        assert b.chapters()[0]["metadata"] == _CHAPTER["metadata"]
        assert b.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    first = read_film(folder / "b.mp4")[2]
    assert (first.width, first.height) == (96, 64)
    assert first.rotation == 90
    assert (first.colorspace, first.color_primaries, first.color_trc) == (1, 1, 1)
    assert first.color_range == 1


def test_nothing_is_said_where_nothing_is_lost(film, tmp_path, caplog):
    folder, _ = film
    upscale_video(bicubic_upscaler(2), folder / "a.mp4", tmp_path / "b.mp4")
    assert not caplog.records


def test_progress_tells_each_frame(film):
    _, calls = film
    assert calls == [(n, len(UNEVEN)) for n in range(1, len(UNEVEN) + 1)]


def test_h264_is_near_what_was_encoded(film):
    """CRF 16 is lossy: by a mean of less than two codes on smooth images."""
    folder, _ = film
    for (luma, *_), (large, *_) in zip(
        read_film(folder / "a.mp4")[1], read_film(folder / "b.mp4")[1], strict=True
    ):
        want = _luma(bicubic_upscaler(2), luma)
        assert np.abs(large - np.clip(want, 0, 255)).mean() < 2


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".webm", ".MP4"])
def test_every_container(tmp_path, suffix):
    write_film(tmp_path / "a.mkv", sound="libopus" if suffix == ".webm" else "aac")
    out = tmp_path / f"b{suffix}"
    upscale_video(bicubic_upscaler(2), tmp_path / "a.mkv", out)
    times, planes, first = read_film(out)
    assert [round(1000 * (time - times[0])) for time in times] == UNEVEN
    assert (first.width, first.height, len(planes)) == (96, 64, len(UNEVEN))
    sound = [data for _, data in read_packets(out, "audio")]
    assert sound == [data for _, data in read_packets(tmp_path / "a.mkv", "audio")]


def test_sound_that_a_container_does_not_take_is_left_out(tmp_path, caplog):
    write_film(tmp_path / "a.mkv", sound="aac", times=[0, 100])
    with caplog.at_level(logging.WARNING):
        upscale_video(bicubic_upscaler(2), tmp_path / "a.mkv", tmp_path / "b.webm")
    assert [r.getMessage() for r in caplog.records if "left out" in r.getMessage()] == [
        "a.mkv: stream 1 (audio) is left out ('webm' format does not support 'aac' codec)."
    ]
    with av.open(str(tmp_path / "b.webm")) as target:
        assert [s.type for s in target.streams] == ["video"]


def test_subtitles_and_attachments_are_copied_or_left_out(tmp_path, caplog):
    write_film(tmp_path / "silent.mkv")
    (tmp_path / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,400\nWords.\n")
    with (
        av.open(str(tmp_path / "silent.mkv")) as silent,
        av.open(str(tmp_path / "a.srt")) as words,
        av.open(str(tmp_path / "a.mkv"), "w") as target,
    ):
        inputs = [silent.streams.video[0], words.streams.subtitles[0]]
        outputs = [target.add_stream_from_template(s, opaque=True) for s in inputs]
        outputs[1].disposition = av.stream.Disposition.forced
        target.add_attachment("font.ttf", "font/ttf", b"letters")
        for source, stream in zip((words, silent), reversed(outputs), strict=True):
            for packet in source.demux():
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
    upscale_video(bicubic_upscaler(2), tmp_path / "a.mkv", tmp_path / "b.mkv")
    assert read_packets(tmp_path / "b.mkv", "subtitles") == [(Fraction(1, 10), b"Words.")]
    with av.open(str(tmp_path / "b.mkv")) as target:
        assert [each.data for each in target.streams.attachments] == [b"letters"]
        assert target.streams.subtitles[0].disposition == av.stream.Disposition.forced
    assert not caplog.records
    upscale_video(bicubic_upscaler(2), tmp_path / "a.mkv", tmp_path / "b.mp4")
    assert "stream 1 (subtitle) is left out" in caplog.text
    assert "stream 2 (attachment) is left out" in caplog.text


def test_a_network_of_rgb_sees_the_video_s_own_colours(tmp_path, lossless):
    seen = []

    def function(x):
        seen.append(np.asarray(x))
        return bicubic_upscaler(2).function(x)

    with av.open(str(tmp_path / "a.mkv"), "w") as target:
        stream = target.add_stream("ffv1", rate=10)
        stream.height, stream.width = 32, 48
        stream.codec_context.colorspace = 1
        frame = av.VideoFrame(48, 32, "yuv420p")
        for plane, code in zip(view_planes(frame), (120, 100, 150), strict=True):
            plane[...] = code
        frame.pts = 0
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    rgb = dataclasses.replace(bicubic_upscaler(2), channels=3, function=function)
    _, (planes,), first = _upscaled(rgb, tmp_path)
    y, u, v = (120 - 16) / 219, (100 - 128) / 224, (150 - 128) / 224
    want = (y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u)  # BT.709
    assert np.abs(seen[0] * 255 - np.array(want) * 255).max() < 0.6
    assert (first.format.name, first.colorspace) == ("yuv420p", 1)
    for plane, code in zip(planes, (120, 100, 150), strict=True):
        assert (plane == code).all()


def test_rgb_videos_become_bt_601(tmp_path, lossless):
    with av.open(str(tmp_path / "a.mkv"), "w") as target:
        stream = target.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "bgr0"
        stream.codec_context.color_range = 2
        colour = np.full((32, 48, 3), (200, 30, 90), np.uint8)
        target.mux(stream.encode(av.VideoFrame.from_ndarray(colour, "rgb24")))
        target.mux(stream.encode(None))
    _, (planes,), first = _upscaled(bicubic_upscaler(2), tmp_path)
    assert (first.format.name, first.colorspace, first.color_range) == ("yuv444p", 6, 1)
    for plane, code in zip(planes, (91.3, 129.2, 198.4), strict=True):
        assert np.abs(plane - code).max() <= 1


@pytest.mark.parametrize(("suffix", "fmt"), [(".mp4", "yuv444p"), (".webm", "yuv420p")])
def test_odd_sides(tmp_path, caplog, suffix, fmt):
    """H.264 gets all its chroma, at the place where it was, and VP9 keeps it subsampled."""
    was = write_film(tmp_path / "a.mkv", "ffv1", size=(15, 21), times=[0, 100])
    with caplog.at_level(logging.WARNING):
        done = upscale_video(bicubic_upscaler(3), tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    assert done.output_size == (45, 63)
    _, large, first = read_film(tmp_path / f"b{suffix}")
    assert (first.height, first.width, first.format.name) == (45, 63, fmt)
    assert ("becomes yuv444p" in caplog.text) == (fmt == "yuv444p")
    factor = 6 if fmt == "yuv444p" else 3
    for planes, large_planes in zip(was, large, strict=True):
        for plane, got in zip(planes[1:], large_planes[1:], strict=True):
            want = imresize(plane.astype(np.float64), factor)[: got.shape[0], : got.shape[1]]
            assert np.abs(got - want.clip(0, 255)).mean() < 4  # the codecs' loss


def test_grey_and_ten_bits_in_webm(tmp_path, caplog):
    """VP9 knows no grey, and PyAV's encoder no ten bits."""
    was = write_film(tmp_path / "a.mkv", "ffv1", "gray10le", times=[0, 100])
    with caplog.at_level(logging.WARNING):
        upscale_video(bicubic_upscaler(2), tmp_path / "a.mkv", tmp_path / "b.webm")
    assert "has 10 bits a sample, of which 8 are kept" in caplog.text
    _, ((luma, *chroma), _), first = read_film(tmp_path / "b.webm")
    assert first.format.name == "yuv420p"
    assert all(np.abs(plane.astype(int) - 128).max() <= 2 for plane in chroma)
    want = _luma(bicubic_upscaler(2), was[0][0], 1020) / 4
    assert np.abs(luma - np.clip(want, 0, 255)).mean() < 3  # the codec's loss


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


@pytest.mark.parametrize(
    ("size", "tags"),
    [
        ((480, 720), (6, 6, 6)),
        ((576, 720), (5, 5, 6)),
        ((240, 320), (2, 2, 2)),
        ((720, 1280), (2, 2, 2)),
    ],
)
def test_colours_without_tags_stay_those_that_players_assumed(tmp_path, size, tags):
    write_film(tmp_path / "a.mp4", size=size, times=[0])
    upscale_video(bicubic_upscaler(2), tmp_path / "a.mp4", tmp_path / "b.mp4")
    first = read_film(tmp_path / "b.mp4")[2]
    assert (first.colorspace, first.color_primaries, first.color_trc) == tags


@pytest.mark.parametrize(
    ("name", "said"), [("alpha.webm", None), ("hdr.mp4", "light"), ("sd.mp4", None)]
)
def test_what_a_foreign_video_loses_is_said(shared, tmp_path, caplog, name, said):
    source = shared / "data" / "cases" / name
    if not source.is_file():
        pytest.skip(f"needs {name}")
    upscale_video(bicubic_upscaler(2), source, tmp_path / "b.webm")
    assert (said or "") in caplog.text
    assert bool(said) == bool(caplog.records)


def _read_with_alpha(path):
    with av.open(str(path)) as source:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        packets = [packet for packet in source.demux(video=0) if packet.size]
        assert source.streams.video[0].metadata["ALPHA_MODE"] == "1"
        return [view_planes(frame) for packet in packets for frame in decoder.decode(packet)]


def test_alpha_is_kept_in_webm_and_hidden_colours_make_no_ring(tmp_path, caplog):
    """Twice, since the alpha of a WebM file lies beside its frames."""

    def paint(shape, index, number, *, peak):
        inside = np.pad(np.ones([n // 2 for n in shape]), [(n // 4, n // 4) for n in shape])
        return inside * (255 if number == 3 else 180) + (1 - inside) * (0 if number == 3 else 20)

    write_film(tmp_path / "a.mkv", "ffv1", "yuva420p", times=[0, 100, 200], paint=paint)
    for source, target, shape in (("a.mkv", "b.webm", (64, 96)), ("b.webm", "c.webm", (128, 192))):
        upscale_video(bicubic_upscaler(2), tmp_path / source, tmp_path / target)
        frames = _read_with_alpha(tmp_path / target)
        assert len(frames) == 3
        want = imresize(paint((32, 48), 0, 3, peak=255), shape=shape).clip(0, 255)
        for luma, *chroma, alpha in frames:
            assert np.abs(alpha - want).mean() < 2
            assert np.abs(luma[alpha > 0].astype(int) - 180).max() <= 4
            for plane in chroma:
                seen = plane[alpha[::2, ::2] > 0]
                assert np.abs(seen.astype(int) - 180).max() <= 4
    assert not caplog.records
    upscale_video(bicubic_upscaler(2), tmp_path / "b.webm", tmp_path / "d.mp4")
    assert "alpha, which is dropped" in caplog.text
    with av.open(str(tmp_path / "d.mp4")) as target:
        assert "alpha_mode" not in target.streams.video[0].metadata


@pytest.mark.parametrize("moves", [False, True])
def test_interlaced_frames_are_made_whole(tmp_path, lossless, moves):
    """An edge that moves between the two fields of a frame is a comb; what stands still stays as it was."""

    def paint(shape, index, number, *, peak):
        at = 10 + moves * (4 * index + 2 * (np.arange(shape[0])[:, None] % 2))
        return np.where(np.arange(shape[1]) > at, 200, 40) if number == 0 else np.full(shape, 128)

    was = write_film(
        tmp_path / "a.mkv", "ffv1", times=range(0, 600, 100), sound="libopus", paint=paint
    )
    for name, deinterlace in (("b", False), ("c", True)):
        target = tmp_path / f"{name}.mkv"
        upscale_video(bicubic_upscaler(2), tmp_path / "a.mkv", target, deinterlace=deinterlace)
    (times, combed, _), (found, whole, _) = (read_film(tmp_path / f"{name}.mkv") for name in "bc")
    assert found == times
    assert len(was) == len(whole)
    assert read_packets(tmp_path / "b.mkv", "audio") == read_packets(tmp_path / "c.mkv", "audio")
    combs = [
        np.mean([np.abs(np.diff(luma.astype(int), axis=0)).mean() for luma, *_ in film[1:-1]])
        for film in (combed, whole)
    ]
    if moves:
        assert combs[1] < 0.3 * combs[0]
    else:
        for planes, others in zip(combed, whole, strict=True):
            for plane, other in zip(planes, others, strict=True):
                np.testing.assert_array_equal(plane, other)


def test_the_light_levels_of_hdr10_are_kept(tmp_path, caplog):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    light = {"x264-params": f"mastering-display={display}:cll=900,300"}
    write_film(tmp_path / "a.mp4", fmt="yuv420p10le", times=[0], options=light)
    upscale_video(bicubic_upscaler(2), tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert not caplog.records
    first, second = (read_film(tmp_path / f"{name}.mp4")[2] for name in "ab")
    for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert bytes(first.side_data[name]) == bytes(second.side_data[name])
    upscale_video(bicubic_upscaler(2), tmp_path / "a.mp4", tmp_path / "b.webm")
    assert "light levels" in caplog.text


def test_light_levels_of_each_frame_are_said_to_be_lost(tmp_path, caplog):
    """Those of HDR10+ (SMPTE ST 2094-40), which WebM has beside a frame, where it also has alpha."""
    write_film(tmp_path / "a.webm", "libvpx-vp9", "yuva420p", times=[0])
    content = (tmp_path / "a.webm").read_bytes()
    mark, kind = b"\xee\x81\x01\xa5", b"\xee\x81\x04\xa5"  # alpha; ITU-T T.35, as which HDR10+ goes
    before, after = content.split(mark)
    levels = bytes([0xB5, 0x00, 0x3C, 0x00, 0x01, 0x04, 0x01, 0x40])  # of one window
    size = int.from_bytes(after[:2], "big") & 0x3FFF
    data = after[:2] + levels.ljust(size, b"\0") + after[2 + size :]
    before = before.replace(
        b"\x53\xc0\x81\x01", b"\x53\xc0\x81\x00"
    )  # which says that it has alpha
    (tmp_path / "a.webm").write_bytes(before + kind + data)
    upscale_video(bicubic_upscaler(2), tmp_path / "a.webm", tmp_path / "b.webm")
    (said,) = (record.getMessage() for record in caplog.records)
    assert said == "a.webm has light levels for each frame, which are dropped."


def test_an_image_is_no_video(tmp_path):
    write_image(tmp_path / "a.webp", np.zeros((8, 8, 3), np.uint8))
    _refused(tmp_path / "a.webp", tmp_path / "b.mp4", r"a\.webp is an image")


@pytest.mark.parametrize("deinterlace", [False, True])
def test_a_video_that_changes_its_size(tmp_path, deinterlace):
    write_film(tmp_path / "a.h264", times=[0, 100])
    write_film(tmp_path / "b.h264", times=[0, 100], size=(64, 64))
    both = (tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes()
    (tmp_path / "c.h264").write_bytes(both)
    with pytest.raises(InputError, match="from 48×32 to 64×64 after 2 frames"):
        upscale_video(
            bicubic_upscaler(2),
            tmp_path / "c.h264",
            tmp_path / "d.mp4",
            deinterlace=deinterlace,
        )
    assert not (tmp_path / "d.mp4").exists()


def _refused(source, target, match, upscaler=None):
    """Refused by that sentence, with nothing left behind and what stood there still standing."""
    before = {p: p.read_bytes() for p in source.parent.iterdir() if p.is_file()}
    with pytest.raises(InputError, match=match):
        upscale_video(upscaler or bicubic_upscaler(2), source, target)
    assert {p: p.read_bytes() for p in source.parent.iterdir() if p.is_file()} == before


def test_damaged_videos(tmp_path):
    times = range(0, 1200, 100)
    for name in ("a.mkv", "a.mp4"):
        write_film(tmp_path / name, times=times)
    (tmp_path / "out.mp4").write_bytes(b"old")
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    _refused(tmp_path / "cut.mkv", tmp_path / "out.mp4", r"cut\.mkv is damaged.*after [5-8] frames")
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    _refused(tmp_path / "cut.mp4", tmp_path / "out.mp4", r"cut\.mp4")


@pytest.mark.parametrize("lost", [[3], [2, 3, 7], [9], [0]])
def test_a_damaged_packet_costs_a_frame(tmp_path, lossless, lost):
    """The frame before it stands in its place; at the start there is none."""
    times = [0, 100, 150, 300, 400, 500, 600, 700, 800, 900]
    write_film(tmp_path / "a.mp4", times=times, sound="aac", max_b_frames=0, gop_size=1)
    damage_film(tmp_path / "a.mp4", tmp_path / "hurt.mp4", lost)
    done = [
        upscale_video(bicubic_upscaler(2), tmp_path / f"{name}.mp4", tmp_path / f"{name}.mkv")
        for name in ("a", "hurt")
    ]
    kept = [n for n in range(10) if n not in lost]
    shown = [max([k for k in kept if k <= n], default=None) for n in range(10)]
    shown = [n for n in shown if n is not None]
    assert [one.damaged_frames for one in done] == [0, len(lost)]
    assert [one.frames for one in done] == [10, len(shown)]
    times, whole, _ = read_film(tmp_path / "a.mkv")
    found, hurt, _ = read_film(tmp_path / "hurt.mkv")
    assert found == times[-len(shown) :]
    for planes, number in zip(hurt, shown, strict=True):
        for plane, want in zip(planes, whole[number], strict=True):
            np.testing.assert_array_equal(plane, want)
    assert read_packets(tmp_path / "hurt.mkv", "audio") == read_packets(tmp_path / "a.mkv", "audio")


def test_frames_that_the_decoder_mends_or_passes_over_are_counted(tmp_path, lossless):
    write_film(tmp_path / "a.mp4", "mpeg4", times=range(0, 1000, 100))
    damage_film(tmp_path / "a.mp4", tmp_path / "mended.mp4", [4], fill=b"\x00\x00\x01\xb6\x55")
    done = upscale_video(bicubic_upscaler(2), tmp_path / "mended.mp4", tmp_path / "b.mkv")
    assert done.damaged_frames >= 1
    assert f"{done.damaged_frames} damaged" in str(done)


def test_frames_that_the_header_counts_and_the_file_lacks_are_counted(tmp_path):
    write_film(tmp_path / "a.mp4", times=range(0, 2000, 100))
    content = (tmp_path / "a.mp4").read_bytes()
    where = content.index(b"stsz") + 12
    assert int.from_bytes(content[where : where + 4], "big") == 20
    hurt = content[:where] + (17).to_bytes(4, "big") + content[where + 4 :]
    (tmp_path / "hurt.mp4").write_bytes(hurt)
    done = upscale_video(bicubic_upscaler(2), tmp_path / "hurt.mp4", tmp_path / "b.mp4")
    assert (done.frames, done.damaged_frames) == (17, 3)


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


def test_files_that_are_no_video(tmp_path):
    out = tmp_path / "out.mp4"
    _refused(tmp_path / "none.mp4", out, r"none\.mp4")
    (tmp_path / "text.mp4").write_text("no film")
    _refused(tmp_path / "text.mp4", out, r"text\.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    _refused(tmp_path / "empty.mp4", out, r"empty\.mp4")
    with av.open(str(tmp_path / "tone.wav"), "w") as target:
        stream = target.add_stream("pcm_s16le", rate=48000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.int16), "s16", "stereo")
        tone.sample_rate = 48000
        target.mux(stream.encode(tone))
    _refused(tmp_path / "tone.wav", out, r"tone\.wav")
    write_image(tmp_path / "cover.png", np.zeros((8, 8, 3), np.uint8))
    with (
        av.open(str(tmp_path / "cover.png")) as image,
        av.open(str(tmp_path / "song.mp4"), "w") as target,
    ):
        cover = target.add_stream_from_template(image.streams.video[0], opaque=True)
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in image.demux():
            if packet.size:
                packet.stream = cover
                target.mux(packet)
    _refused(tmp_path / "song.mp4", out, r"song\.mp4")


def test_targets_that_cannot_be_written(tmp_path):
    write_film(tmp_path / "a.mkv", "ffv1", times=[0])
    _refused(tmp_path / "a.mkv", tmp_path / "b.gif", r"b\.gif .*\.mkv, \.mov, \.mp4")
    (tmp_path / "folder.mp4").mkdir()
    _refused(tmp_path / "a.mkv", tmp_path / "folder.mp4", r"folder\.mp4")
    _refused(tmp_path / "a.mkv", tmp_path / "a.mkv" / "b.mp4", r"a\.mkv/b\.mp4")


def test_frames_too_large_for_the_codec(tmp_path):
    write_film(tmp_path / "wide.mkv", "ffv1", size=(2, 4100), times=[0])
    _refused(tmp_path / "wide.mkv", tmp_path / "b.mp4", "16400×8 .*libx264", bicubic_upscaler(4))


def test_a_tile_without_room(tmp_path, small):
    write_film(tmp_path / "a.mkv", "ffv1", times=[0])
    with pytest.raises(InputError, match="at least"):
        upscale_video(small, tmp_path / "a.mkv", tmp_path / "b.mp4", tile=4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_without_the_extra(tmp_path, monkeypatch):
    write_film(tmp_path / "a.mkv", "ffv1", times=[0])
    monkeypatch.setitem(sys.modules, "av", None)
    _refused(tmp_path / "a.mkv", tmp_path / "b.mp4", r"pip install 'sesr_jax\[video\]'")
