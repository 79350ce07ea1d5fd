"""One HTML page that holds all it shows: text, tables, pictures, comparisons and plots.

    page = Page("SESR-M5 ×2", [Section("Quality", [Table(["set", "PSNR"], [["Set5", "37.39"]])])])
    write(page, "report.html")

The page asks nothing of any other file or host, follows the reader's light or dark setting, and reads
on a telephone and without JavaScript. All text is escaped; nothing in it is taken as HTML.
"""

import base64
import dataclasses
import io
import math
import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from sesr_jax.errors import InputError, require_extra
from sesr_jax.files import replace_file


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells as `str` shows them. The first column names its row; the others align right as numbers do.

    Attributes:
      header: one name a column.
      rows: one cell a column.
      caption: what the table says, or nothing.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A uint8 image, ``[H, W]`` or ``[H, W, 3]``, with its caption."""

    image: np.ndarray
    caption: str


@dataclasses.dataclass(frozen=True)
class Compare:
    """Two images of one size under a slider that uncovers the second; one below the other in print.

    Attributes:
      before: uint8 ``[H, W]`` or ``[H, W, 3]``, on the left.
      after: likewise, on the right.
      labels: their names.
      caption: what there is to see.
    """

    before: np.ndarray
    after: np.ndarray
    labels: tuple[str, str]
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Lines over a common axis, drawn by Matplotlib.

    Attributes:
      lines: by name, the x and the y values.
      x: the horizontal axis's name, with its unit.
      y: the vertical one's.
      caption: what the plot says, or nothing.
    """

    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    x: str
    y: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Dots:
    """Repeated measurements: a row for each name, the first on top, a dot a value, a bar at their mean.

    Attributes:
      values: by name.
      x: the axis's name, with its unit.
      caption: what the plot says, or nothing.
    """

    values: Mapping[str, Sequence[float]]
    x: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Bars:
    """Horizontal bars of stacked parts: a bar for each name, the first on top, a colour for each part.

    Attributes:
      values: by name, the parts' lengths by the part's name.
      x: the axis's name, with its unit.
      caption: what the bars say, or nothing.
    """

    values: Mapping[str, Mapping[str, float]]
    x: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Scatter:
    """Named points, and lines to judge them by.

    Attributes:
      points: by name, x and y.
      lines: by name, the x and the y values.
      x: the horizontal axis's name, with its unit.
      y: the vertical one's.
      caption: what the plot says, or nothing.
      logarithmic: which axes are of powers of ten: "xy", "x" or "".
      others: points that are there to compare with, by name; drawn hollow.
    """

    points: Mapping[str, tuple[float, float]]
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    x: str
    y: str
    caption: str = ""
    logarithmic: Literal["xy", "x", ""] = "xy"
    others: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)


Block: TypeAlias = Paragraph | Table | Picture | Compare | Plot | Dots | Bars | Scatter


@dataclasses.dataclass(frozen=True)
class Section:
    """A headline and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Page:
    """A title, a line under it, and sections."""

    title: str
    sections: Sequence[Section]
    lead: str = ""


def write(page: Page, path: str | os.PathLike[str]) -> None:
    """Writes `page` to `path` in one move.

    Raises:
      InputError: as `html`, or the file cannot be written.
    """
    text = html(page)
    with replace_file(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_svg(plot: Plot, path: str | os.PathLike[str]) -> None:
    """Writes `plot` alone to `path` (.svg), in greys and colours that hold on white and on black.

    Raises:
      InputError: as `html`, or the file cannot be written.
    """
    svg = _drawn(lambda axes: _lines(axes, plot), 3.1)
    with replace_file(path) as temporary:
        temporary.write_text(svg.replace(_INK, "#808890").replace(_RULE, "#80889060"), "utf-8")


def html(page: Page) -> str:
    """The page's text.

    Raises:
      InputError: a table's row has another length than its header, an image is not one, the two
        images of a comparison differ in size, or Matplotlib is missing for a plot.
    """
    sections = "\n".join(
        f"<section>\n<h2>{escape(section.title)}</h2>\n"
        + "\n".join(map(_block, section.blocks))
        + "\n</section>"
        for section in page.sections
    )
    lead = f'<p class="lead">{escape(page.lead)}</p>' if page.lead else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(page.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(page.title)}</h1>
{lead}
</header>
<main>
{sections}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f"<p>{escape(block.text)}</p>"
        case Table():
            return _table(block)
        case Picture():
            return _figure(_image(block.image, block.caption), block.caption)
        case Compare():
            return _compare(block)
        case Plot():
            label = block.caption or f"{block.y} over {block.x}"
            svg = _svg(lambda axes: _lines(axes, block), 3.1, label)
            return _figure(svg, block.caption, "plot")
        case Dots():
            height = 0.8 + 0.26 * len(block.values)
            label = block.caption or block.x
            svg = _svg(lambda axes: _dots(axes, block), height, label)
            return _figure(svg, block.caption, "plot")
        case Bars():
            height = 1.1 + 0.24 * len(block.values)
            svg = _svg(lambda axes: _bars(axes, block), height, block.caption or block.x)
            return _figure(svg, block.caption, "plot")
        case Scatter():
            label = block.caption or f"{block.y} over {block.x}"
            height = 3.4 + 0.06 * len(block.others)
            svg = _svg(lambda axes: _scatter(axes, block), height, label)
            return _figure(svg, block.caption, "plot")


def _figure(content: str, caption: str, kind: str = "picture") -> str:
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="{kind}">{content}{words}</figure>'


def _table(table: Table) -> str:
    for row in table.rows:
        if len(row) != len(table.header):
            raise InputError(
                f"the row {list(row)} has {len(row)} cells under {len(table.header)} headings; "
                "give one for each."
            )

    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    body = "\n".join(
        f'<tr><th scope="row">{escape(str(first))}</th>'
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in table.rows
    )
    text = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption or "Table")}">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )
    return _figure(text, table.caption, "table")


def _compare(pair: Compare) -> str:
    if pair.before.shape[:2] != pair.after.shape[:2]:
        raise InputError(
            f"the images of a comparison measure {pair.before.shape[:2]} and {pair.after.shape[:2]}; "
            "enlarge the smaller one first."
        )
    before, after = map(escape, pair.labels)
    width = pair.before.shape[1]
    # Without JavaScript the cover stays at one half, and the slider away: see the style sheet.
    content = (
        f'<div class="compare" style="max-width:{width}px">'
        f'<div class="after">{_image(pair.after, pair.labels[1])}</div>'
        f'<div class="before">{_image(pair.before, pair.labels[0])}</div>'
        f'<span class="label left">{before}</span><span class="label right">{after}</span>'
        f'<input type="range" min="0" max="100" value="50" step="0.5" hidden '
        f'aria-label="How much of {before} covers {after}"></div>'
    )
    return _figure(content, pair.caption)


def _image(image: np.ndarray, description: str) -> str:
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)) or image.ndim < 2:
        raise InputError(
            f"an array {image.dtype}{list(image.shape)} is no picture; give uint8 [H, W] or [H, W, 3]."
        )
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    code = base64.b64encode(file.getvalue()).decode("ascii")
    height, width = image.shape[:2]
    return (
        f'<img width="{width}" height="{height}" alt="{escape(description)}" '
        f'src="data:image/png;base64,{code}">'
    )


def _lines(axes: Any, plot: Plot) -> None:
    for (name, (x, y)), colour in zip(plot.lines.items(), _cycle(len(plot.lines)), strict=True):
        # More lines than colours: the second round is dashed, and so on.
        dashes = ("-", "--", ":")[len(axes.lines) // len(_COLOURS) % 3]
        alone = "o" if len(x) == 1 else ""
        axes.plot(x, y, dashes, marker=alone, label=_plain(name), color=colour, linewidth=2)
    axes.set_ylabel(_plain(plot.y), color=_INK)
    axes.set_xlabel(_plain(plot.x), color=_INK)
    if len(plot.lines) > 1:
        axes.legend(frameon=False, labelcolor=_INK, ncols=1 + len(plot.lines) // 9)


def _dots(axes: Any, dots: Dots) -> None:
    for row, values in enumerate(dots.values.values()):
        axes.plot(values, [row] * len(values), "o", color=_COLOURS[0], alpha=0.7, markersize=6)
        axes.plot(sum(values) / len(values), row, "|", color=_COLOURS[1], markersize=14, mew=2.5)
    axes.set_yticks(range(len(dots.values)), [_plain(name) for name in dots.values])
    axes.invert_yaxis()
    axes.set_xlabel(_plain(dots.x), color=_INK)


def _bars(axes: Any, bars: Bars) -> None:
    parts = list(dict.fromkeys(part for values in bars.values.values() for part in values))
    starts = [0.0] * len(bars.values)
    for part, colour in zip(parts, _cycle(len(parts)), strict=True):
        lengths = [values.get(part, 0.0) for values in bars.values.values()]
        axes.barh(range(len(lengths)), lengths, 0.7, starts, color=colour, label=_plain(part))
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    axes.set_yticks(range(len(starts)), [_plain(name) for name in bars.values], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(_plain(bars.x), color=_INK)
    if len(parts) > 1:
        axes.legend(frameon=False, labelcolor=_INK, ncols=len(parts), loc="lower center",
                    bbox_to_anchor=(0.5, 1))  # fmt: skip


def _scatter(axes: Any, plot: Scatter) -> None:
    for (name, (x, y)), colour in zip(plot.lines.items(), _cycle(len(plot.lines)), strict=True):
        axes.plot(x, y, "-", label=_plain(name), color=colour, linewidth=2)
    for points, colour, fill in ((plot.others, _INK, "none"), (plot.points, _COLOURS[2], None)):
        x, y = zip(*points.values(), strict=True) if points else ((), ())
        axes.plot(x, y, "o", color=colour, markerfacecolor=fill, alpha=0.8, markersize=6)
        # Neighbours' names go above and below by turns.
        for i, (name, place) in enumerate(sorted(points.items(), key=lambda point: point[1])):
            axes.annotate(_plain(name), place, xytext=(4, -8 if i % 2 else 3),
                          textcoords="offset points", fontsize=7, color=_INK)  # fmt: skip
    for axis in plot.logarithmic:
        get, put = getattr(axes, f"get_{axis}lim"), getattr(axes, f"set_{axis}lim")
        getattr(axes, f"set_{axis}scale")("log")
        low, high = get()
        put(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)))
    if plot.logarithmic:
        axes.minorticks_off()
    axes.set_xlabel(_plain(plot.x), color=_INK)
    axes.set_ylabel(_plain(plot.y), color=_INK)
    if plot.lines:
        axes.legend(frameon=False, labelcolor=_INK)


def _svg(draw: Callable[[Any], None], height: float, label: str) -> str:
    """What `draw` puts on Matplotlib's axes, as an SVG that takes the page's colours."""
    # Namespaces and metadata mean nothing inside HTML; names must be unique in the whole page.
    svg = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", _drawn(draw, height))
    prefix = f"p{zlib.crc32(svg.encode()):x}-"
    svg = re.sub(r"(\bid=\"|href=\"#|url\(#)", rf"\g<1>{prefix}", svg)
    svg = svg.replace(_INK, "var(--soft)").replace(_RULE, "var(--rule)")
    return f'<svg role="img" aria-label="{escape(label)}"' + svg[svg.index("<svg") + len("<svg") :]


def _drawn(draw: Callable[[Any], None], height: float) -> str:
    """What `draw` puts on Matplotlib's axes, as an SVG file in which `_INK` and `_RULE` are to replace."""
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
        figure = Figure(figsize=(5.6, height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.tick_params(colors=_INK, length=0)
        axes.grid(color=_RULE, linewidth=1)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return re.sub(r"<metadata>.*?</metadata>", "", file.getvalue(), flags=re.DOTALL)


def _plain(text: str) -> str:
    """`text` without Matplotlib's mathematics."""
    return text.replace("$", r"\$")


def _cycle(count: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]


_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""They hold on white and on black, and for the colour-blind (Okabe and Ito 2008)."""

_INK, _RULE = "#010203", "#030201"
"""Stand-ins in a plot, for the page's colours of text and of fine lines."""

_STYLE = """
:root { --paper: #fdfdfc; --ink: #1d2126; --soft: #626a73; --rule: #e3e5e7; --accent: #1f6feb; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e4e6e8; --soft: #9aa3ac; --rule: #2c3137; --accent: #6aa6ff; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 3rem 1.25rem 5rem; max-width: 46rem;
  background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  overflow-wrap: break-word; -webkit-text-size-adjust: 100%;
}
h1 { margin: 0 0 .5rem; font-size: clamp(1.6rem, 5vw, 2.2rem); line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 3rem 0 .75rem; font-size: 1.3rem; line-height: 1.3; letter-spacing: -.01em; }
p { margin: .75rem 0; }
.lead { color: var(--soft); font-size: 1.15rem; }
figure { margin: 1.5rem 0; }
figcaption { margin-top: .6rem; color: var(--soft); font-size: .9rem; line-height: 1.45; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td {
  padding: .45rem .9rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap;
}
th:first-child { padding-left: 0; text-align: left; }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 400; }
thead th { color: var(--soft); font-size: .85rem; }
.plot svg { display: block; width: 100%; max-width: 40rem; height: auto; }
.plot svg text { font-family: inherit !important; }
.compare { position: relative; --at: 50%; border-radius: 4px; overflow: hidden; }
.compare .before { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.compare img { width: 100%; border-radius: 0; }
.compare::after {
  content: ""; position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 3px #0008; pointer-events: none;
}
.compare:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
.compare input {
  position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize;
  touch-action: pan-y;
}
.label {
  position: absolute; top: .6rem; padding: .1rem .55rem; border-radius: 1rem;
  background: #000a; color: #fff; font-size: .8rem; pointer-events: none;
}
.left { left: .6rem; }
.right { right: .6rem; }
@media print {
  .compare .before { position: static; clip-path: none; }
  .compare::after, .label { display: none; }
}
"""

_SCRIPT = """
for (const slider of document.querySelectorAll(".compare input")) {
  slider.hidden = false;
  slider.addEventListener("input", () =>
    slider.parentElement.style.setProperty("--at", slider.value + "%"));
}
"""
