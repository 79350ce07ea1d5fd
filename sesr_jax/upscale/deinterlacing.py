"""Making whole frames of interlaced ones, by FFmpeg's filter bwdif: one of each, at its time.

The module `av` is PyAV, which the caller imports.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sesr_jax.upscale.decoding import DecodedFrame, find_frame_duration


def deinterlace_frames(av: Any, items: Iterable[Any], stream: Any) -> Iterator[Any]:
    """Yields the items of a `FrameReader` with their frames deinterlaced, a frame later than they come.

    All frames are taken for interlaced ones, by the order of fields that they name (the top one first, if
    none). A stream whose frames have no times gets those of its rate.
    """
    graph: Any = None
    pts = -find_frame_duration(stream)
    for item in items:
        if not isinstance(item, DecodedFrame):
            yield item
            continue
        graph = graph or _make_graph(av, item.image, stream)
        pts = pts + find_frame_duration(stream) if item.pts is None else item.pts
        item.image.pts, item.image.time_base = pts, stream.time_base
        graph.vpush(item.image)
        yield from _pull(av, graph, stream)
    if graph is not None:
        graph.vpush(None)
        yield from _pull(av, graph, stream)


def _make_graph(av: Any, first: Any, stream: Any) -> Any:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=stream.time_base
    )
    middle = graph.add("bwdif", "mode=send_frame:parity=auto:deint=all")
    source.link_to(middle)
    middle.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _pull(av: Any, graph: Any, stream: Any) -> Iterator[DecodedFrame]:
    while True:
        try:
            image = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        # The filter counts time in halves of the stream's time base.
        yield DecodedFrame(image=image, pts=round(image.pts * image.time_base / stream.time_base))
