"""One HTML page that holds all it shows: text, tables, images, comparisons and plots.

    page = Page("SESR-M5 ×2", [Section("Quality", [Table(["set", "PSNR"], [["Set5", "37.39"]])])])
    write_page(page, "report.html")

The page asks nothing of any other file or host, follows the reader's light or dark setting, and can be read
on a phone and without JavaScript. All text is escaped; nothing in it is taken as HTML.
"""

import base64
import html
import io
import os
import re

import numpy as np
from PIL import Image as Pillow

from sesr_jax.errors import InputError, to_printable
from sesr_jax.files import write_file
from sesr_jax.report.content import (
    Bars,
    Block,
    Comparison,
    Dots,
    Image,
    Page,
    Paragraph,
    Plot,
    Scatter,
    Table,
)
from sesr_jax.report.plots import to_svg
from sesr_jax.report.style import SCRIPT, STYLE

_NUMBER = re.compile(r"[-+−×]?\d.*|[–∞]?")
"""Cells that align right: numbers, whatever stands behind them, and what stands for a missing one."""

_LONG = 40
"""Characters from which a cell's text may break into lines."""


def escape(text: str) -> str:
    """Returns a text of HTML; what is no UTF-8 in it, such as in the name of a file, is shown escaped."""
    return html.escape(to_printable(text))


def write_page(page: Page, path: str | os.PathLike[str]) -> None:
    """Writes `page` to `path`, as a whole or not at all.

    Raises:
      InputError: as `to_html`, or the file cannot be written.
    """
    text = to_html(page)
    write_file(path, text)


def to_html(page: Page) -> str:
    """Returns the page's text.

    Raises:
      InputError: a table's row has another length than its header, an array is no image, the two
        images of a comparison differ in size, or Matplotlib is missing for a plot.
    """
    sections = "\n".join(
        f"<section>\n<h2>{escape(section.title)}</h2>\n"
        + "\n".join(map(_render_block, section.blocks))
        + "\n</section>"
        for section in page.sections
    )
    return make_document(
        page.title, escape(page.lead), sections, scripts=f"<script>{SCRIPT}</script>"
    )


def make_document(
    title: str, lead: str, body: str, *, head: str = "", style: str = "", scripts: str = ""
) -> str:
    """Returns a document in the style of all pages.

    Args:
      title: its headline, as text.
      lead: the HTML of the paragraph below; "" for none.
      body: the HTML of what follows.
      head: more HTML for its head.
      style: more CSS.
      scripts: the HTML of its scripts.
    """
    more = f"{head}\n" if head else ""
    paragraph = f'<p class="lead">{lead}</p>' if lead else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
{more}</head>
<body>
<header>
<h1>{escape(title)}</h1>
{paragraph}
</header>
<main>
{body}
</main>
{scripts}
</body>
</html>
"""


def _render_block(block: Block) -> str:
    match block:
        case Paragraph():
            return f"<p>{escape(block.text)}</p>"
        case Table():
            return _render_table(block)
        case Image():
            return _render_figure(_render_image(block.image, block.caption), block.caption)
        case Comparison():
            return _render_comparison(block)
        case Plot() | Dots() | Bars() | Scatter():
            return _render_figure(to_svg(block), block.caption, "plot")


def _render_figure(content: str, caption: str, kind: str = "image") -> str:
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="{kind}">{content}{words}</figure>'


def _render_table(table: Table) -> str:
    """Returns the table in a box that scrolls by itself where it is wider than the window."""
    for row in table.rows:
        if len(row) != len(table.header):
            raise InputError(
                f"The row {list(row)} has {len(row)} cells under {len(table.header)} headings; "
                "it must have one for each."
            )
    rows = [[str(cell) for cell in row] for row in table.rows]
    numeric = [
        all(_NUMBER.fullmatch(row[i]) for row in rows) and i > 0 for i in range(len(table.header))
    ]
    head = "".join(
        f'<th{_class_attribute(number, "")} scope="col">{escape(name)}</th>'
        for name, number in zip(table.header, numeric, strict=True)
    )
    body = "\n".join(
        f'<tr><th scope="row"{_class_attribute(False, row[0])}>{_allow_breaks(row[0])}</th>'
        + "".join(
            f"<td{_class_attribute(number, cell)}>{escape(cell)}</td>"
            for cell, number in zip(row[1:], numeric[1:], strict=True)
        )
        + "</tr>"
        for row in rows
    )
    text = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption or "Table")}">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )
    return _render_figure(text, table.caption, "table")


def _allow_breaks(name: str) -> str:
    """Returns the escaped name, which may break into lines after a slash."""
    return escape(name).replace("/", "/<wbr>")


def _class_attribute(number: bool, text: str) -> str:
    kind = "number" if number else "long" if len(text) > _LONG else ""
    return f' class="{kind}"' if kind else ""


def _render_comparison(pair: Comparison) -> str:
    if pair.before.shape[:2] != pair.after.shape[:2]:
        raise InputError(
            f"The images of a comparison measure {pair.before.shape[:2]} and {pair.after.shape[:2]}; "
            "they must have one size."
        )
    before, after = map(escape, pair.labels)
    width = pair.before.shape[1]
    # Without JavaScript the cover stays at one half, and the slider is hidden: see the style sheet.
    content = (
        f'<div class="compare" style="max-width:{width}px">'
        f'<div class="after">{_render_image(pair.after, pair.labels[1])}</div>'
        f'<div class="before">{_render_image(pair.before, pair.labels[0])}</div>'
        f'<span class="label left">{before}</span><span class="label right">{after}</span>'
        f'<input type="range" min="0" max="100" value="50" step="0.5" hidden '
        f'aria-label="How much of {before} covers {after}"></div>'
    )
    return _render_figure(content, pair.caption)


def _render_image(image: np.ndarray, description: str) -> str:
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)) or image.ndim < 2:
        raise InputError(
            f"An array {image.dtype}{list(image.shape)} is no image; one is uint8 [H, W] or [H, W, 3]."
        )
    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "PNG", optimize=True)
    code = base64.b64encode(file.getvalue()).decode("ascii")
    height, width = image.shape[:2]
    return (
        f'<img width="{width}" height="{height}" alt="{escape(description)}" '
        f'src="data:image/png;base64,{code}">'
    )
