"""Figures that papers print: what ours stand beside. None is a measurement of this project.

PSNR in dB and SSIM on the Y channel; MACs for an `OUTPUT` of 1280×720. The figures of the zoo's networks
stand with their families, and those of all others in `models.rivals`. Sources:

- "SESR": Bhardwaj et al., Collapsible Linear Blocks, MLSys 2022, Tables 1 (×2) and 2 (×4), which print
  most rivals' figures too.
- "FALSR": Chu et al., Fast, Accurate and Lightweight Super-Resolution with Neural Architecture Search,
  2019, and the README of its repository (×2). It has the last word on the rivals that both print.
- "IMDN": Hui et al., ACM Multimedia 2019, comparison of PSNR and SSIM. It prints no MACs.
"""

import dataclasses
from collections.abc import Mapping

Quality = tuple[float, float]
"""PSNR in dB and SSIM; not a number where the paper prints no SSIM."""

OUTPUT = (720, 1280)
"""The height and width of the image for which papers give MACs."""

SETS = ("Set5", "Set14", "B100", "Urban100", "Manga109", "DIV2K")
"""The data sets of the tables; B100 is BSD100."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """What was printed of one model at one scale.

    Attributes:
      model: a name of the zoo, or the paper's own.
      scale: the scale factor.
      parameters: in all; None where not printed.
      macs: for an output of 1280×720; None where not printed.
      quality: by data set.
      source: see above.
    """

    model: str
    scale: int
    parameters: float | None
    macs: float | None
    quality: Mapping[str, Quality]
    source: str


def read_rows(source: str, table: str) -> tuple[Published, ...]:
    """Returns the rows of a table of text.

    Args:
      source: as in `Published`.
      table: lines of model, scale, thousands of parameters, 10⁹ MACs, and PSNR/SSIM on each of `SETS`; "-" is
        what the source does not print. The first line is the header.
    """
    rows = []
    for line in table.strip().splitlines()[1:]:
        model, scale, thousands, billions, *cells = line.split()
        rows.append(
            Published(
                model=model,
                scale=int(scale),
                parameters=None if thousands == "-" else float(thousands) * 1e3,
                macs=None if billions == "-" else float(billions) * 1e9,
                quality={
                    data: _quality(cell)
                    for data, cell in zip(SETS, cells, strict=True)
                    if cell != "-"
                },
                source=source,
            )
        )
    return tuple(rows)


def _quality(cell: str) -> Quality:
    psnr, ssim = (float("nan") if part == "-" else float(part) for part in cell.split("/"))
    return psnr, ssim
