import base64
import html.parser
import io
import re
import sys
import xml.etree.ElementTree

import numpy as np
import pytest
from PIL import Image as Pillow

from sesr_jax import report
from sesr_jax.errors import InputError
from sesr_jax.report import (
    Bars,
    Comparison,
    Image,
    Page,
    Paragraph,
    Plot,
    Scatter,
    Section,
    Table,
)

_VOID = {"meta", "img", "input", "wbr"}
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
                    Image(_photo(0, 8, 9), text),
                    Comparison(_photo(1, 8, 9, 3), _photo(2, 8, 9, 3), (text, "after"), text),
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
    reader = _Reader(report.to_html(_page()))
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
    text = report.to_html(_page())
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
    plain, hostile = _Reader(report.to_html(_page())), _Reader(report.to_html(_page(_HOSTILE)))
    tags = [
        # How many ticks a plot has depends on the room that its names leave.
        _Reader(re.sub(r"<svg.*?</svg>|<wbr>", "", report.to_html(page), flags=re.DOTALL)).tags
        for page in (_page(), _page(_HOSTILE))
    ]
    assert tags[0] == tags[1]
    assert set(hostile.tags) - {"wbr"} == set(plain.tags)
    # title, headlines, lead, paragraph, table, captions, label: wherever the plain word stood
    assert hostile.text.count(_HOSTILE) == plain.text.count("words")
    assert _HOSTILE in hostile.values("alt")


def test_images_keep_their_pixels():
    reader = _Reader(report.to_html(_page()))
    shown = [
        np.array(Pillow.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
        for source in reader.values("src")
    ]
    expected = [_photo(0, 8, 9), _photo(2, 8, 9, 3), _photo(1, 8, 9, 3)]
    for image, other in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(image, other)


def test_a_page_that_fails_leaves_the_one_before(tmp_path):
    path = tmp_path / "page.html"
    report.write_page(_page(), path)
    first = path.read_bytes()
    broken = Page("x", [Section("x", [Image(np.zeros((2, 2)), "floats")])])
    with pytest.raises(InputError, match="no image"):
        report.write_page(broken, path)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        report.write_page(_page(), tmp_path / "file" / "page.html")


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=re.escape("pip install 'sesr_jax[demo]'")):
        report.to_html(_page())


def test_columns_of_numbers_align_right_and_long_text_may_break():
    source = "a source of a figure that nobody reads in one line of a phone"
    rows = [
        ["head/conv2d", "4.2", "mac", "+0.10 dB", "–", ""],
        ["x", "1", source, "×2", "3 %", "∞"],
    ]
    text = report.to_html(Page("t", [Section("s", [Table(list("abcdef"), rows)])]))
    kinds = re.findall(r"<t[hd](?: scope=\"\w+\")?(?: class=\"(\w+)\")?[^>]*>([^<]*)", text)
    assert {name: kind for kind, name in kinds if name in tuple("abcdef")} == {
        "a": "", "b": "number", "c": "", "d": "number", "e": "number", "f": "number"
    }  # fmt: skip
    assert ("long", source) in kinds
    assert "head/<wbr>conv2d" in text


def _rules(style):
    """The declarations by selector: on every screen, and those of phones alone."""
    phones = re.search(r"@media \(max-width: 34rem\) \{(.*?)\n\}", style, re.DOTALL)
    everywhere = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", style)
    return [
        {
            selector.strip(): dict(re.findall(r"([-\w]+): ([^;]+);", body))
            for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", part)
        }
        for part in (re.sub(r"/\*.*?\*/", "", everywhere), phones.group(1))
    ]


def test_wide_tables_use_the_window_and_scroll_in_their_own_box_on_a_phone():
    text = report.to_html(_page())
    style = re.search("<style>(.*?)</style>", text, re.DOTALL).group(1)
    assert text.index('class="scroll"') < text.index("<table>")
    wide, phone = _rules(style)
    assert wide[".scroll"]["overflow-x"] == "auto"
    assert wide[".table"]["width"] == "max-content"
    assert "100vw" in wide[".table"]["max-width"]
    assert (phone[".table"]["width"], phone[".table"]["transform"]) == ("auto", "none")
    assert wide["tr > th:first-child"]["position"] == "sticky"


def test_text_of_plots_is_readable_on_a_phone():
    """A phone of 390 pixels has margins of 16; there a plot's smallest text has 8 pixels or more."""
    text = report.to_html(_page())
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        (width,) = re.findall(r'viewBox="0 0 ([\d.]+)', svg)
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
        assert sizes
        # Exponents of powers of ten are smaller by their nature.
        assert min(size for size in sizes if size != 7) * (390 - 32) / float(width) >= 8


def test_long_names_of_rows_leave_room_for_the_dots():
    name = "sesr_m5_hw ×2 (expansion=256, blocks=5), PTQ, percentile"
    text = report.to_html(Page("t", [Section("s", [report.Dots({name: [1.0, 2.0]}, x="dB")])]))
    svg = re.search(r"<svg.*?</svg>", text, re.DOTALL).group(0)
    (width,) = re.findall(r'viewBox="0 0 ([\d.]+)', svg)
    dots = sorted(
        float(x) for x in re.findall(r'<use [^>]*x="([\d.]+)" y="[\d.]+" style="fill: #0072b2', svg)
    )
    assert len(dots) == 2
    assert dots[1] - dots[0] > float(width) / 3


def test_names_of_points_cover_neither_each_other_nor_points():
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from sesr_jax.report import plots

    rng = np.random.default_rng(0)
    points = {f"network {i}": tuple(rng.uniform(0, 1, 2)) for i in range(12)}
    figure = Figure(figsize=(4.6, 3.7), layout="constrained")
    axes = figure.add_subplot()
    with mpl.rc_context({"font.size": 10}):
        plots._draw_scatter(axes, Scatter(points, {}, "x", "y", logarithmic=""))
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.texts]
    assert len(boxes) == 12
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert sum(a.overlaps(b) for a, b in pairs) == 0
    inside = axes.get_window_extent()
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)


def test_dots_show_every_value_and_name(tmp_path):
    block = report.Dots({"ecb": [33.0, 33.5], "dense": [32.0]}, x="PSNR in dB")
    text = report.to_html(Page("t", [Section("s", [block])]))
    assert 'aria-label="PSNR in dB"' in text
    assert text.index(">ecb<") < text.index(">dense<")
    more = report.Dots({"ecb": [33.0, 33.5, 34.0], "dense": [32.0]}, x="PSNR in dB")
    again = report.to_html(Page("t", [Section("s", [more])]))
    assert again.count("<use") == text.count("<use") + 1


def test_points_to_compare_with_are_hollow():
    block = Scatter({"ours": (2.0, 37.0)}, {}, "x", "y", logarithmic="x", others={"rival": (6, 36)})
    text = report.to_html(Page("t", [Section("s", [block])]))
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
