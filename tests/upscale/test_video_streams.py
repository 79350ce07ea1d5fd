"""What stands beside the frames of a video: sound, subtitles, attachments, chapters and tags."""

import logging
from fractions import Fraction

import numpy as np
import pytest
from upscaled_films import predict_luma

from sesr_jax.upscale import bicubic_upscaler, upscale_video
from tests.films import UNEVEN, read_film, read_packets, write_film

av = pytest.importorskip("av")

_CHAPTER = {
    "id": 1,
    "start": 100,
    "end": 400,
    "time_base": Fraction(1, 1000),
    "metadata": {"title": "Act I"},
}


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
        want = predict_luma(bicubic_upscaler(2), luma)
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
