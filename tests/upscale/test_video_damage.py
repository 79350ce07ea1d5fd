"""Damaged videos: a damaged packet costs a frame, and what ends too early is refused."""

import numpy as np
import pytest
from upscaled_films import check_refused

from sesr_jax.upscale import bicubic_upscaler, upscale_video
from tests.films import damage_film, read_film, read_packets, write_film

av = pytest.importorskip("av")


def test_damaged_videos(tmp_path):
    times = range(0, 1200, 100)
    for name in ("a.mkv", "a.mp4"):
        write_film(tmp_path / name, times=times)
    (tmp_path / "out.mp4").write_bytes(b"old")
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    check_refused(
        tmp_path / "cut.mkv", tmp_path / "out.mp4", r"cut\.mkv is damaged.*after [5-8] frames"
    )
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    check_refused(tmp_path / "cut.mp4", tmp_path / "out.mp4", r"cut\.mp4")


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
