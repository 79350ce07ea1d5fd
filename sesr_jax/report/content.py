"""What a page holds: sections of text, tables, images, comparisons and plots."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells as `str` shows them. The first column names its row; columns of numbers align right.

    Attributes:
      header: one name per column.
      rows: one cell per column each.
      caption: what the table says, or nothing.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Image:
    """A uint8 image, ``[H, W]`` or ``[H, W, 3]``, with its caption."""

    image: np.ndarray
    caption: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two images of one size under a slider that uncovers the second; one below the other in print.

    Attributes:
      before: uint8 ``[H, W]`` or ``[H, W, 3]``, on the left.
      after: uint8 of the same size, on the right.
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
      x: the name of the horizontal axis, with its unit.
      y: the name of the vertical axis, with its unit.
      caption: what the plot says, or nothing.
    """

    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    x: str
    y: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Dots:
    """Repeated measurements: one row per name, the first on top; one dot per value, a bar at their mean.

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
    """Horizontal bars of stacked parts: one bar per name, the first on top, and one colour per part.

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
      x: the name of the horizontal axis, with its unit.
      y: the name of the vertical axis, with its unit.
      caption: what the plot says, or nothing.
      logarithmic: the axes that show powers of ten: "xy", "x" or "".
      others: points to compare with, by name, which are drawn hollow.
      groups: the line whose colour a point has, by the point's name.
      unnamed: points that are drawn small and without a name.
    """

    points: Mapping[str, tuple[float, float]]
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    x: str
    y: str
    caption: str = ""
    logarithmic: Literal["xy", "x", ""] = "xy"
    others: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unnamed: Sequence[tuple[float, float]] = ()


Block: TypeAlias = Paragraph | Table | Image | Comparison | Plot | Dots | Bars | Scatter


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
