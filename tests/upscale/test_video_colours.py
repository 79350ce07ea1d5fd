"""The colours of an upscaled video: matrices, tags, alpha and light levels."""

import dataclasses

import numpy as np
import pytest
from upscaled_films import upscale_film

from sesr_jax.data import imresize
from sesr_jax.upscale import bicubic_upscaler, upscale_video
from tests.films import read_film, view_planes, write_film

av = pytest.importorskip("av")


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
    _, (planes,), first = upscale_film(rgb, tmp_path)
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
    _, (planes,), first = upscale_film(bicubic_upscaler(2), tmp_path)
    assert (first.format.name, first.colorspace, first.color_range) == ("yuv444p", 6, 1)
    for plane, code in zip(planes, (91.3, 129.2, 198.4), strict=True):
        assert np.abs(plane - code).max() <= 1


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
