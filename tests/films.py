"""Small videos for tests: writing them frame by frame, and reading what is in them."""

from fractions import Fraction

import numpy as np
import pytest

from sesr_jax.data import imresize

av = pytest.importorskip("av")

UNEVEN = [0, 100, 150, 300, 333, 500, 600, 640]
"""Times in milliseconds."""


def view_planes(frame):
    """The codes of each plane, in its own memory."""
    dtype = np.dtype("u1" if frame.format.components[0].bits == 8 else "<u2")
    return [
        np.ndarray((p.height, p.line_size // dtype.itemsize), dtype, buffer=p)[:, : p.width]
        for p in frame.planes
    ]


def make_image(shape, seed, peak):
    """A smooth image, as a large one of few pixels is, with codes up to the ends of the range."""
    coarse = np.random.default_rng(seed).uniform(-0.3, 1.3, (4, 5))
    return np.clip(np.rint(imresize(coarse, shape=shape) * peak), 0, peak)


def write_film(path, codec="libx264", fmt="yuv420p", *, size=(32, 48), times=UNEVEN, **settings):
    """Writes a video with `times` in milliseconds; returns the planes of its frames.

    `settings` may hold the codec of its sound, how long the last frame lasts, a rotation, metadata, chapters,
    what paints a plane, and settings of the encoder.
    """
    paint = settings.pop(
        "paint", lambda shape, *seed, peak: make_image(shape, 10 * seed[0] + seed[1], peak)
    )
    sound, rotation = settings.pop("sound", None), settings.pop("rotation", None)
    last = settings.pop("last", 100)
    frames = []
    with av.open(str(path), "w") as target:
        stream = target.add_stream(codec, rate=10)
        stream.height, stream.width = size
        stream.pix_fmt = fmt
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        stream.codec_context.flags |= av.codec.context.Flags.frame_duration
        if rotation:
            stream.set_display_rotation(rotation)
        target.metadata.update(settings.pop("metadata", {}))
        target.set_chapters(settings.pop("chapters", []))
        for key, value in settings.items():
            setattr(stream.codec_context, key, value)
        if sound:
            audio = target.add_stream(sound, rate=48000)
            audio.metadata["language"] = "deu"
        for index, time in enumerate(times):
            frame = av.VideoFrame(size[1], size[0], fmt)
            peak = (1 << frame.format.components[0].bits) - 1
            for number, plane in enumerate(view_planes(frame)):
                plane[...] = paint(plane.shape, index, number, peak=peak)
            frames.append([plane.copy() for plane in view_planes(frame)])
            frame.pts, frame.time_base, frame.duration = time, Fraction(1, 1000), 100
            if index == len(times) - 1:
                frame.duration = last
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
        if sound:
            step = audio.codec_context.frame_size or 960
            for start in range(0, 48 * times[-1], step):
                tone = np.sin((start + np.arange(step)) * 0.06).astype(np.float32) * 0.4
                kind = audio.codec_context.format.name
                samples = np.stack([tone, tone]) if kind == "fltp" else tone.repeat(2)[None]
                if kind != "fltp":
                    samples, kind = np.rint(samples * 32767).astype(np.int16), "s16"
                block = av.AudioFrame.from_ndarray(samples, format=kind, layout="stereo")
                block.sample_rate, block.pts = 48000, start
                target.mux(audio.encode(block))
            target.mux(audio.encode(None))
    return frames


def read_film(path):
    """The times and planes of the frames, and the first frame."""
    with av.open(str(path)) as source:
        frames = list(source.decode(video=0))
        return [f.pts * f.time_base for f in frames], [view_planes(f) for f in frames], frames[0]


def read_packets(path, kind):
    with av.open(str(path)) as source:
        (stream,) = getattr(source.streams, kind)
        return [(p.pts * p.time_base, bytes(p)) for p in source.demux(stream) if p.size]


def damage_film(source, target, numbers, fill=b"\xaa"):
    """Copies a video with the packets of those numbers, in the order of the file, filled with nonsense."""
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        for number in numbers:
            where = packets[number].pos
            content[where : where + packets[number].size] = (fill * packets[number].size)[
                : packets[number].size
            ]
    target.write_bytes(content)
