"""The frames of an upscaled video are what their planes become by themselves.

Where codes are compared, both files are FFV1, which loses nothing.
"""

import dataclasses
import logging
from fractions import Fraction

import numpy as np
import pytest
from upscaled_films import predict_luma, round_codes, upscale_film

from sesr_jax.data import imresize
from sesr_jax.upscale import bicubic_upscaler, upscale_video
from tests.films import read_film, read_packets, write_film

av = pytest.importorskip("av")


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
        want = predict_luma(small, luma, unit)
        assert np.abs(large_luma - np.clip(want, 0, peak)).max() < 0.51
        assert len(chroma) == len(large_chroma)
        for plane, large_plane in zip(chroma, large_chroma, strict=True):
            want = round_codes(imresize(plane.astype(np.float64), 2), peak)
            np.testing.assert_array_equal(large_plane, want)


def test_full_range_is_brought_to_the_studio_range_and_back(tmp_path, lossless, small):
    was = write_film(tmp_path / "a.mkv", "ffv1", times=[0], color_range=2)
    upscale_video(small, tmp_path / "a.mkv", tmp_path / "b.mkv")
    _, large, first = read_film(tmp_path / "b.mkv")
    assert first.color_range == 2
    want = predict_luma(
        small, was[0][0], 255, lambda y: (16 + 219 * y) / 255, lambda y: (255 * y - 16) / 219
    )
    assert np.abs(large[0][0] - np.clip(want, 0, 255)).max() < 0.51
    studio = predict_luma(small, was[0][0])
    assert np.abs(large[0][0] - np.clip(studio, 0, 255)).max() > 1  # the test can tell


def test_tiles_and_fixed_sizes_give_the_same_frames(tmp_path, lossless, small):
    shapes = set()

    def function(x):
        shapes.add(x.shape)
        return small.function(x)

    write_film(tmp_path / "a.mkv", "ffv1", times=[0])
    _, (whole,), _ = upscale_film(small, tmp_path, tile=None)
    _, (tiled,), _ = upscale_film(dataclasses.replace(small, function=function), tmp_path, tile=24)
    assert shapes == {(1, 24, 24, 1)}
    shapes.clear()
    fixed = dataclasses.replace(small, function=function, tile=(20, 28))
    _, (held,), _ = upscale_film(fixed, tmp_path)
    assert shapes == {(1, 20, 28, 1)}
    for planes in (tiled, held):
        for plane, want in zip(planes, whole, strict=True):
            assert np.abs(plane.astype(int) - want).max() <= 1  # a tie that rounds either way


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
    want = predict_luma(bicubic_upscaler(2), was[0][0], 1020) / 4
    assert np.abs(luma - np.clip(want, 0, 255)).mean() < 3  # the codec's loss


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
