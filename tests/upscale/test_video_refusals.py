"""Videos that are refused in one sentence, which leaves nothing behind."""

import sys

import numpy as np
import pytest
from upscaled_films import check_refused

from sesr_jax.data import write_image
from sesr_jax.errors import InputError
from sesr_jax.upscale import bicubic_upscaler, upscale_video
from tests.films import write_film

av = pytest.importorskip("av")


def test_an_image_is_no_video(tmp_path):
    write_image(tmp_path / "a.webp", np.zeros((8, 8, 3), np.uint8))
    check_refused(tmp_path / "a.webp", tmp_path / "b.mp4", r"a\.webp is an image")


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


def test_files_that_are_no_video(tmp_path):
    out = tmp_path / "out.mp4"
    check_refused(tmp_path / "none.mp4", out, r"none\.mp4")
    (tmp_path / "text.mp4").write_text("no film")
    check_refused(tmp_path / "text.mp4", out, r"text\.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    check_refused(tmp_path / "empty.mp4", out, r"empty\.mp4")
    with av.open(str(tmp_path / "tone.wav"), "w") as target:
        stream = target.add_stream("pcm_s16le", rate=48000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.int16), "s16", "stereo")
        tone.sample_rate = 48000
        target.mux(stream.encode(tone))
    check_refused(tmp_path / "tone.wav", out, r"tone\.wav")
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
    check_refused(tmp_path / "song.mp4", out, r"song\.mp4")


def test_targets_that_cannot_be_written(tmp_path):
    write_film(tmp_path / "a.mkv", "ffv1", times=[0])
    check_refused(tmp_path / "a.mkv", tmp_path / "b.gif", r"b\.gif .*\.mkv, \.mov, \.mp4")
    (tmp_path / "folder.mp4").mkdir()
    check_refused(tmp_path / "a.mkv", tmp_path / "folder.mp4", r"folder\.mp4")
    check_refused(tmp_path / "a.mkv", tmp_path / "a.mkv" / "b.mp4", r"a\.mkv/b\.mp4")


def test_frames_too_large_for_the_codec(tmp_path):
    write_film(tmp_path / "wide.mkv", "ffv1", size=(2, 4100), times=[0])
    check_refused(
        tmp_path / "wide.mkv", tmp_path / "b.mp4", "16400×8 .*libx264", bicubic_upscaler(4)
    )


def test_a_tile_without_room(tmp_path, small):
    write_film(tmp_path / "a.mkv", "ffv1", times=[0])
    with pytest.raises(InputError, match="at least"):
        upscale_video(small, tmp_path / "a.mkv", tmp_path / "b.mp4", tile=4)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_without_the_extra(tmp_path, monkeypatch):
    write_film(tmp_path / "a.mkv", "ffv1", times=[0])
    monkeypatch.setitem(sys.modules, "av", None)
    check_refused(tmp_path / "a.mkv", tmp_path / "b.mp4", r"pip install 'sesr_jax\[video\]'")
