import base64
import html.parser
import io
import re
import sys
import xml.etree.ElementTree

import numpy as np
import pytest
from PIL import Image

from sesr_jax import report
from sesr_jax.errors import InputError
from sesr_jax.report import (
    Bars,
    Compare,
    Page,
    Paragraph,
    Picture,
    Plot,
    Scatter,
    Section,
    Table,
)

_VOID = {"meta", "img", "input"}
_HOSTILE = "<b>\"x\" & 'y' $z$</b></script>"


class _Reader(html.parser.HTMLParser):
    """Holds every element closed in its order, and gathers tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def values(self, name):
        return [value for key, value in self.attributes if key == name]


def _photo(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _page(text="words"):
    steps = [0, 10, 20]
    return Page(
        text,
        [
            Section(text, [Paragraph(text), Table([text, "PSNR"], [[text, 37.5]], text)]),
            Section(
                "Pictures",
                [
                    Picture(_photo(0, 8, 9), text),
                    Compare(_photo(1, 8, 9, 3), _photo(2, 8, 9, 3), (text, "after"), text),
                ],
            ),
            Section(
                "Training",
                [
                    Plot({text: (steps, [1, 2, 3]), "b": (steps, [3, 2, 1])}, text, "dB", text),
                    Plot({"c": (steps, [1, 5, 3])}, "step", "loss"),
                    Bars({text: {"read": 1.0, text: 2.0}, "b": {"read": 3.0}}, "ms", text),
                    Scatter({text: (1.0, 10.0)}, {"roof": ([1, 9], [2, 20])}, "x", "y", text),
                ],
            ),
        ],
        lead=text,
    )


def test_page_is_well_formed():
    reader = _Reader(report.html(_page()))
    assert [reader.tags.count(tag) for tag in ("h1", "h2", "table", "svg", "img")] == [
        1,
        3,
        1,
        4,
        3,
    ]
    assert "37.5" in reader.text
    names = reader.values("id")
    assert len(names) == len(set(names))


def test_every_reference_is_inside_the_page():
    text = report.html(_page())
    assert "://" not in text
    reader = _Reader(text)
    links = [
        *reader.values("href"),
        *reader.values("xlink:href"),
        *re.findall(r"url\(([^)]*)", text),
    ]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(reader.values("id"))
    assert all(source.startswith("data:image/png;base64,") for source in reader.values("src"))


def test_text_is_shown_and_never_obeyed():
    plain, hostile = _Reader(report.html(_page())), _Reader(report.html(_page(_HOSTILE)))
    assert hostile.tags == plain.tags
    # title, headlines, lead, paragraph, table, captions, label: wherever the plain word stood
    assert hostile.text.count(_HOSTILE) == plain.text.count("words")
    assert _HOSTILE in hostile.values("alt")


def test_pictures_keep_their_pixels():
    reader = _Reader(report.html(_page()))
    shown = [
        np.array(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
        for source in reader.values("src")
    ]
    expected = [_photo(0, 8, 9), _photo(2, 8, 9, 3), _photo(1, 8, 9, 3)]
    for image, other in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(image, other)


def test_a_page_that_fails_leaves_the_one_before(tmp_path):
    path = tmp_path / "page.html"
    report.write(_page(), path)
    first = path.read_bytes()
    broken = Page("x", [Section("x", [Picture(np.zeros((2, 2)), "floats")])])
    with pytest.raises(InputError, match="no picture"):
        report.write(broken, path)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        report.write(_page(), tmp_path / "file" / "page.html")


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=re.escape("pip install 'sesr_jax[demo]'")):
        report.html(_page())


def test_dots_show_every_value_and_name(tmp_path):
    block = report.Dots({"ecb": [33.0, 33.5], "dense": [32.0]}, x="PSNR in dB")
    text = report.html(Page("t", [Section("s", [block])]))
    assert 'aria-label="PSNR in dB"' in text
    assert text.index(">ecb<") < text.index(">dense<")
    more = report.Dots({"ecb": [33.0, 33.5, 34.0], "dense": [32.0]}, x="PSNR in dB")
    again = report.html(Page("t", [Section("s", [more])]))
    assert again.count("<use") == text.count("<use") + 1


def test_points_to_compare_with_are_hollow():
    block = Scatter({"ours": (2.0, 37.0)}, {}, "x", "y", logarithmic="x", others={"rival": (6, 36)})
    text = report.html(Page("t", [Section("s", [block])]))
    assert {"ours", "rival"} <= set(re.findall(r">(\w+)</text>", text))
    assert len(re.findall(r"<use [^>]*fill-opacity: 0;", text)) == 1


def test_a_plot_alone_is_a_whole_file(tmp_path):
    steps = ([0, 10], [30.0, 31.0])
    report.write_svg(Plot({"PSNR": steps}, "step", "dB"), tmp_path / "curve.svg")
    root = xml.etree.ElementTree.parse(tmp_path / "curve.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "#010203" not in (tmp_path / "curve.svg").read_text("utf-8")
    report.write_svg(Plot({"PSNR": steps}, "step", "dB"), tmp_path / "again.svg")
    files = [(tmp_path / name).read_bytes() for name in ("curve.svg", "again.svg")]
    assert files[0] == files[1]
