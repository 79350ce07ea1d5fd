"""Published figures, which ours are compared with. This project measured none of them.

PSNR is in dB and, like SSIM, on the Y channel; MACs are for an `OUTPUT` of 1280×720. The file of each family
has the figures of its networks, and `models.figures` has all others. The sources are:

- "SESR": Bhardwaj et al., Collapsible Linear Blocks, MLSys 2022, Tables 1 (×2) and 2 (×4), which print
  most rivals' figures too.
- "FALSR": Chu et al., Fast, Accurate and Lightweight Super-Resolution with Neural Architecture Search,
  2019, and the README of its repository (×2). Its figures are taken where SESR prints others.
- "IMDN": Hui et al., ACM Multimedia 2019, comparison of PSNR and SSIM. Its MACs are as others print them.
- "PAN": Zhao et al., ECCV Workshops 2020; the means of the logs in its repository.
- "LatticeNet": the weights in the repository of Luo et al., ECCV 2020, as later papers print them. The
  paper's own figures (32.30 dB on Set5 at ×4) are not those of these weights.
- "RLFN": Kong et al., CVPR Workshops 2022.
"""

import dataclasses
from collections.abc import Mapping

Quality = tuple[float, float]
"""PSNR in dB and SSIM, which is NaN where the paper prints none."""

OUTPUT = (720, 1280)
"""The height and width of the image for which papers give MACs."""

SETS = ("Set5", "Set14", "B100", "Urban100", "Manga109", "DIV2K")
"""The data sets of the tables; B100 is BSD100."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """The published figures of one model at one scale.

    Attributes:
      model: its name in the zoo, or the paper's own.
      scale: the scale factor.
      parameters: the number of all parameters; None where it is not printed.
      macs: for an output of 1280×720; None where they are not printed.
      quality: PSNR and SSIM by data set.
      source: the key of a source in the module's docstring.
    """

    model: str
    scale: int
    parameters: float | None
    macs: float | None
    quality: Mapping[str, Quality]
    source: str


def read_rows(source: str, table: str) -> tuple[Published, ...]:
    """Reads published figures from a table in text form.

    Args:
      source: see `Published`.
      table: a header, and lines of model, scale, thousands of parameters, 10⁹ MACs, and PSNR/SSIM on each of
        `SETS`; "-" stands for a figure that the source does not print.
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
                    data: _read_quality(cell)
                    for data, cell in zip(SETS, cells, strict=True)
                    if cell != "-"
                },
                source=source,
            )
        )
    return tuple(rows)


def _read_quality(cell: str) -> Quality:
    psnr, ssim = (float("nan") if part == "-" else float(part) for part in cell.split("/"))
    return psnr, ssim
