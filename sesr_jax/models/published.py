"""Figures that papers printed: what ours stand beside. None is a measurement of this project.

PSNR in dB and SSIM on the Y channel; MACs for an `OUTPUT` of 1280×720. Sources:

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

_SESR = """
model       scale  params   MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
bicubic         2       -      - 33.68/0.9307 30.24/0.8693 29.56/0.8439 26.88/0.8408 30.82/0.9349 32.45/0.9043
fsrcnn          2   12.46   6.00 36.98/0.9556 32.62/0.9087 31.50/0.8904 29.85/0.9009 36.62/0.9710 34.74/0.9340
sesr_m3         2    8.91   2.05 37.21/0.9577 32.70/0.9100 31.56/0.8920 29.92/0.9034 36.47/0.9717 35.03/0.9373
sesr_m5         2   13.52   3.11 37.39/0.9585 32.84/0.9115 31.70/0.8938 30.33/0.9087 37.07/0.9734 35.24/0.9389
sesr_m7         2   18.12   4.17 37.47/0.9588 32.91/0.9118 31.77/0.8946 30.49/0.9105 37.14/0.9738 35.32/0.9395
TPSR-NoGAN      2   60     14.0  37.38/0.9583 33.00/0.9123 31.75/0.8942 30.61/0.9119 -            -
sesr_m11        2   27.34   6.30 37.58/0.9593 33.03/0.9128 31.85/0.8956 30.72/0.9136 37.40/0.9746 35.45/0.9404
sesr_xl         2  105.37  24.27 37.77/0.9601 33.24/0.9145 31.99/0.8976 31.16/0.9184 38.01/0.9759 35.67/0.9420
bicubic         4       -      - 28.43/0.8113 26.00/0.7025 25.96/0.6682 23.14/0.6577 24.90/0.7855 28.10/0.7745
fsrcnn          4   12.46   4.63 30.70/0.8657 27.59/0.7535 26.96/0.7128 24.60/0.7258 27.89/0.8590 29.36/0.8110
sesr_m3         4   13.71   0.79 30.75/0.8714 27.62/0.7579 27.00/0.7166 24.61/0.7304 27.90/0.8644 29.52/0.8155
sesr_m5         4   18.32   1.05 30.99/0.8764 27.81/0.7624 27.11/0.7199 24.80/0.7389 28.29/0.8734 29.65/0.8189
sesr_m7         4   22.92   1.32 31.14/0.8787 27.88/0.7641 27.13/0.7209 24.90/0.7436 28.53/0.8778 29.72/0.8204
TPSR-NoGAN      4   61      3.6  31.10/0.8779 27.95/0.7663 27.15/0.7214 24.97/0.7456 -            -
sesr_m11        4   32.14   1.85 31.27/0.8810 27.94/0.7660 27.20/0.7225 25.00/0.7466 28.73/0.8815 29.81/0.8221
VDSR            4  665    612.6  31.35/0.8838 28.02/0.7678 27.29/0.7252 25.18/0.7525 28.82/0.8860 29.82/0.8240
LapSRN          4  813    149.4  31.54/0.8850 28.19/0.7720 27.32/0.7280 25.21/0.7560 29.09/0.8900 29.88/0.8250
BTSRN           4  410    165.2  31.85/-      28.20/-      27.47/-      25.74/-      -            -
CARN-M          4  412     32.5  31.92/0.8903 28.42/0.7762 27.44/0.7304 25.62/0.7694 -            -
sesr_xl         4  114.97   6.62 31.54/0.8866 28.12/0.7712 27.31/0.7277 25.31/0.7604 29.04/0.8901 29.94/0.8266
"""

_FALSR = """
model       scale  params     MACs Set5         Set14        B100         Urban100     Manga109 DIV2K
SRCNN           2      57     52.7 36.66/0.9542 32.42/0.9063 31.36/0.8879 29.50/0.8946 -        -
MoreMNAS-C      2      25      5.5 37.06/0.9561 32.75/0.9094 31.50/0.8904 29.92/0.9023 -        -
VDSR            2     665    612.6 37.53/0.9587 33.03/0.9124 31.90/0.8960 30.76/0.9140 -        -
DRCN            2    1774  17974.3 37.63/0.9588 33.04/0.9118 31.85/0.8942 30.75/0.9133 -        -
CNF             2     337    311.0 37.66/0.9590 33.38/0.9136 31.91/0.8962 -            -        -
LapSRN          2     813     29.9 37.52/0.9590 33.08/0.9130 31.80/0.8950 30.41/0.9100 -        -
DRRN            2     297   6796.9 37.74/0.9591 33.23/0.9136 32.05/0.8973 31.23/0.9188 -        -
BTSRN           2     410    207.7 37.75/-      33.20/-      32.05/-      31.63/-      -        -
MemNet          2     677   2662.4 37.78/0.9597 33.28/0.9142 32.08/0.8978 31.31/0.9195 -        -
SelNet          2     974    225.7 37.89/0.9598 33.61/0.9160 32.08/0.8984 -            -        -
CARN            2    1592    222.8 37.76/0.9590 33.52/0.9166 32.09/0.8978 31.92/0.9256 -        -
CARN-M          2     412     91.2 37.53/0.9583 33.26/0.9141 31.92/0.8960 31.23/0.9194 -        -
MoreMNAS-A      2    1039    238.6 37.63/0.9584 33.23/0.9138 31.95/0.8961 31.24/0.9187 -        -
MoreMNAS-B      2    1118    256.9 37.58/0.9584 33.22/0.9135 31.91/0.8959 31.14/0.9175 -        -
MoreMNAS-D      2     664    152.4 37.57/0.9584 33.25/0.9142 31.94/0.8966 31.25/0.9191 -        -
"""

_IMDN = """
model         scale params MACs Set5         Set14        B100         Urban100     Manga109     DIV2K
EDSR-baseline     2   1370    - 37.99/0.9604 33.57/0.9175 32.16/0.8994 31.98/0.9272 38.54/0.9769 -
IMDN              2    694    - 38.00/0.9605 33.63/0.9177 32.19/0.8996 32.17/0.9283 38.88/0.9774 -
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """What was printed of one model at one scale.

    Attributes:
      model: a name of the zoo, or the paper's own.
      scale: the upscaling factor.
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


def rivals(scale: int) -> dict[str, Published]:
    """Every model of which figures for `scale` were printed, by name."""
    return {row.model: row for row in _rows() if row.scale == scale}


def published(model: str) -> dict[int, dict[str, Quality]]:
    """What was printed for `model`, by scale and dataset; empty where nothing was."""
    return {row.scale: dict(row.quality) for row in _rows() if row.model == model}


def _rows() -> list[Published]:
    rows = []
    for source, table in (("SESR", _SESR), ("FALSR", _FALSR), ("IMDN", _IMDN)):
        _, *lines = (line.split() for line in table.strip().splitlines())
        for model, scale, thousands, billions, *cells in lines:
            found = zip(SETS, cells, strict=True)
            rows.append(
                Published(
                    model=model,
                    scale=int(scale),
                    parameters=None if thousands == "-" else float(thousands) * 1e3,
                    macs=None if billions == "-" else float(billions) * 1e9,
                    quality={data: _quality(cell) for data, cell in found if cell != "-"},
                    source=source,
                )
            )
    return rows


def _quality(cell: str) -> Quality:
    psnr, ssim = (float("nan") if part == "-" else float(part) for part in cell.split("/"))
    return psnr, ssim
