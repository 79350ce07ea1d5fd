import html.parser
import re

import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.report import (
    Compare,
    Page,
    Paragraph,
    Picture,
    Plot,
    Section,
    Table,
    text_table,
    write,
)
from sesr_jax.report import (
    html as as_html,
)

_IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
_NASTY = '<script>alert("1 & 2")</script>'
_VOID = {"meta", "img", "input", "br", "hr"}


class _Balanced(html.parser.HTMLParser):
    """Fails where tags do not nest, and collects addresses."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _page(text: str) -> Page:
    blocks = [
        Paragraph(text),
        Table(["name", text], [[text, 1.5]], caption=text),
        Picture(_IMAGE[..., 0], text),
        Compare(_IMAGE, _IMAGE, (text, "after"), caption=text),
        Plot(
            {text: ([1, 2], [3.0, 4.0]), "b": ([1, 2], [4.0, 3.0])},
            x="step $",
            y=text,
            caption=text,
        ),
    ]
    return Page(text, [Section(text, blocks)], lead=text)


def test_a_page_is_well_formed_escapes_all_and_needs_no_other_file():
    text = as_html(_page(_NASTY))
    parser = _Balanced()
    parser.feed(text)
    assert not parser.open
    assert "alert(" in text
    assert "<script>alert" not in text
    assert all(a.startswith(("data:image/png;base64,", "#")) for a in parser.addresses)
    assert not re.findall(r"url\((?!#)|@import", text)


def test_the_same_page_is_the_same_text():
    assert as_html(_page("a")) == as_html(_page("a"))


def test_writing_replaces_the_page_in_one_move(tmp_path):
    write(_page("one"), tmp_path / "a" / "page.html")
    write(_page("two"), tmp_path / "a" / "page.html")
    assert "<h1>two</h1>" in (tmp_path / "a" / "page.html").read_text("utf-8")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Table(["a", "b"], [["1"]]), "1 cells under 2 headings"),
        (Picture(_IMAGE.astype(float), ""), "no picture"),
        (Compare(_IMAGE, _IMAGE[:2], ("a", "b")), "measure"),
    ],
)
def test_blocks_that_cannot_be_shown(block, message):
    with pytest.raises(InputError, match=message):
        as_html(Page("x", [Section("y", [block])]))


def test_text_tables_align():
    table = text_table([["m5", "37.39"], ["m11", "7.5"]], ["model", "dB"])
    assert table.splitlines() == ["model     dB", "-----  -----", "m5     37.39", "m11      7.5"]


def test_text_tables_refuse_rows_of_other_lengths():
    with pytest.raises(InputError, match="1 columns"):
        text_table([["a"]], ["x", "y"])
