"""Plots as SVG, drawn by Matplotlib (the extra "demo")."""

import html
import io
import math
import os
import re
import textwrap
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from sesr_jax.errors import require_extra, to_printable
from sesr_jax.files import write_file
from sesr_jax.report.content import Bars, Dots, Plot, Scatter

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours that hold on white and on black, and for the colour-blind (Okabe and Ito 2008)."""

_INK, _RULE = "#010203", "#030201"
"""Stand-ins in a plot, for the page's colours of text and of fine lines."""

_WIDTH = 4.6
"""Of a page's plot in inches: on a phone its text is about as large as it says."""

_LEGEND = 36
"""The most characters of names in one line of a legend."""

_LINE = 30
"""The most characters in one line of a row's name."""

_SMALL = 8.5
"""The size of the smallest text, in points."""


def to_svg(plot: Plot | Dots | Bars | Scatter) -> str:
    """Returns the plot as an SVG element, which takes the colours of the page around it.

    Raises:
      InputError: Matplotlib is not installed.
    """
    label = plot.caption or (
        f"{plot.y} over {plot.x}" if isinstance(plot, Plot | Scatter) else plot.x
    )
    match plot:
        case Plot():
            svg = _draw(lambda axes: _draw_lines(axes, plot), 2.9)
        case Dots():
            svg = _draw(lambda axes: _draw_dots(axes, plot), 0.8 + 0.26 * _count_lines(plot.values))
        case Bars():
            svg = _draw(lambda axes: _draw_bars(axes, plot), 1.1 + 0.24 * _count_lines(plot.values))
        case Scatter():
            points = len(plot.points) + len(plot.others)
            svg = _draw(lambda axes: _draw_scatter(axes, plot), 3.0 + 0.06 * points)
    # Namespaces and metadata mean nothing inside HTML; names must be unique in the whole page.
    svg = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", svg)
    prefix = f"p{zlib.crc32(svg.encode()):x}-"
    svg = re.sub(r"(\bid=\"|href=\"#|url\(#)", rf"\g<1>{prefix}", svg)
    svg = svg.replace(_INK, "var(--soft)").replace(_RULE, "var(--rule)")
    return (
        f'<svg role="img" aria-label="{html.escape(to_printable(label))}"'
        + svg[svg.index("<svg") + len("<svg") :]
    )


def write_svg(plot: Plot, path: str | os.PathLike[str]) -> None:
    """Writes one plot to an .svg file, in greys and colours that hold on white and on black.

    Raises:
      InputError: Matplotlib is not installed, or the file cannot be written.
    """
    svg = _draw(lambda axes: _draw_lines(axes, plot), 3.1, width=5.6)
    write_file(path, svg.replace(_INK, "#808890").replace(_RULE, "#80889060"))


def _draw(draw: Callable[[Any], None], height: float, *, width: float = _WIDTH) -> str:
    """Returns an SVG file of what `draw` puts on Matplotlib's axes, with `_INK` and `_RULE` as colours."""
    with require_extra("demo", "plots"):
        import matplotlib as mpl
        from matplotlib.figure import Figure

    # Text stays text.
    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "sesr_jax",
        "font.family": "sans-serif",
    }
    with mpl.rc_context({**style, "font.size": 10}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        axes.tick_params(colors=_INK, length=0)
        axes.grid(color=_RULE, linewidth=1)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return re.sub(r"<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL)


def _draw_lines(axes: Any, plot: Plot) -> None:
    for (name, (x, y)), colour in zip(
        plot.lines.items(), _cycle_colours(len(plot.lines)), strict=True
    ):
        # Where there are more lines than colours, the second round is dashed, and so on.
        dashes = ("-", "--", ":")[len(axes.lines) // len(_COLOURS) % 3]
        marker = "o" if len(x) == 1 else ""
        axes.plot(x, y, dashes, marker=marker, label=_escape(name), color=colour, linewidth=2)
    axes.set_ylabel(_escape(plot.y), color=_INK)
    axes.set_xlabel(_escape(plot.x), color=_INK)
    if len(plot.lines) > 1:
        axes.legend(frameon=False, labelcolor=_INK, ncols=1 + len(plot.lines) // 9)


def _draw_dots(axes: Any, dots: Dots) -> None:
    for row, values in enumerate(dots.values.values()):
        axes.plot(values, [row] * len(values), "o", color=_COLOURS[0], alpha=0.7, markersize=6)
        axes.plot(sum(values) / len(values), row, "|", color=_COLOURS[1], markersize=14, mew=2.5)
    axes.set_yticks(range(len(dots.values)), map(_wrap, dots.values), fontsize=_SMALL)
    axes.invert_yaxis()
    axes.set_xlabel(_escape(dots.x), color=_INK)


def _draw_bars(axes: Any, bars: Bars) -> None:
    parts = list(dict.fromkeys(part for values in bars.values.values() for part in values))
    starts = [0.0] * len(bars.values)
    for part, colour in zip(parts, _cycle_colours(len(parts)), strict=True):
        lengths = [values.get(part, 0.0) for values in bars.values.values()]
        axes.barh(range(len(lengths)), lengths, 0.7, starts, color=colour, label=_escape(part))
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    axes.set_yticks(range(len(starts)), map(_wrap, bars.values), fontsize=_SMALL)
    axes.invert_yaxis()
    axes.set_xlabel(_escape(bars.x), color=_INK)
    if len(parts) > 1:
        axes.legend(frameon=False, labelcolor=_INK, ncols=min(len(parts), 5), loc="lower center",
                    bbox_to_anchor=(0.5, 1), columnspacing=1.2, handlelength=1.2)  # fmt: skip


def _draw_scatter(axes: Any, plot: Scatter) -> None:
    names = dict.fromkeys((*plot.lines, *plot.groups.values()))
    colours = dict(zip(names, _cycle_colours(len(names)), strict=True))
    for name, (x, y) in plot.lines.items():
        axes.plot(x, y, "-", label=_escape(name), color=colours[name], linewidth=2)
    for place in plot.unnamed:
        axes.plot(*place, "o", color=_INK, alpha=0.35, markersize=4)
    for place in plot.others.values():
        axes.plot(*place, "o", color=_INK, markerfacecolor="none", alpha=0.8, markersize=6)
    for name, place in plot.points.items():
        colour = colours.get(plot.groups.get(name, ""), _COLOURS[2])
        axes.plot(*place, "o", color=colour, alpha=0.8, markersize=6)
    axes.margins(0.1)
    for axis in plot.logarithmic:
        get, put = getattr(axes, f"get_{axis}lim"), getattr(axes, f"set_{axis}lim")
        getattr(axes, f"set_{axis}scale")("log")
        low, high = get()
        put(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
    if plot.logarithmic:
        axes.minorticks_off()
    axes.tick_params(pad=7)  # the first names of both axes stand side by side
    axes.set_xlabel(_escape(plot.x), color=_INK)
    axes.set_ylabel(_escape(plot.y), color=_INK)
    if plot.lines:
        columns = 2 if sum(map(len, plot.lines)) < _LEGEND else 1
        axes.legend(frameon=False, labelcolor=_INK, ncols=columns,
                    loc="lower center", bbox_to_anchor=(0.5, 1))  # fmt: skip
    _annotate(axes, {**plot.others, **plot.points})


_PLACES = tuple(
    (x, y, side)
    for line in range(4)
    for y in (3 + 9 * line, -9 - 9 * line)
    for x, side in ((5, "left"), (-5, "right"))
)
"""Where a point's name may stand, in points from it, and its alignment; the first that is free is taken."""


def _annotate(axes: Any, points: Any) -> None:
    """Writes each point's name beside it, where it covers no other name and no point and stays inside."""
    from matplotlib.transforms import Bbox

    axes.figure.draw_without_rendering()  # so that the layout is settled
    inside = axes.get_window_extent()
    dots = [axes.transData.transform(place) for place in points.values()]
    marks = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in dots]
    taken: list[Any] = []
    for (name, place), own in zip(points.items(), marks, strict=True):
        label = axes.annotate(_escape(name), place, xytext=(0, 0), textcoords="offset points",
                              fontsize=_SMALL, color=_INK, annotation_clip=False)  # fmt: skip
        label.set_in_layout(False)
        for x, y, side in _PLACES:
            label.set_position((x, y))
            label.set_horizontalalignment(side)
            box = label.get_window_extent()
            others = (*taken, *(mark for mark in marks if mark is not own))
            covers = any(box.overlaps(other) for other in others)
            if not covers and inside.x0 <= box.x0 and box.x1 <= inside.x1:
                break
        else:
            label.set_position((5, 3))
            label.set_horizontalalignment("left")
        taken.append(label.get_window_extent())


def _wrap(name: str) -> str:
    """Returns a row's name in lines that leave the plot enough room on a phone."""
    return _escape(textwrap.fill(name, _LINE))


def _count_lines(names: Iterable[str]) -> int:
    """Returns the lines of all rows, each as tall as the tallest."""
    counts = [_wrap(name).count("\n") + 1 for name in names]
    return len(counts) * max(counts, default=1)


def _escape(text: str) -> str:
    """Returns `text` so that Matplotlib reads no mathematics in it, and can write it."""
    return to_printable(text).replace("$", r"\$")


def _cycle_colours(count: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]
