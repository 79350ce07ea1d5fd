"""Figures that papers printed: what ours stand beside. None is a measurement of this project.

PSNR in dB and SSIM on the Y channel, from Bhardwaj et al., MLSys 2022, Tables 1 (×2) and 2 (×4); and the
results of the Mobile AI challenges, ×3 in INT8 on RGB, from Ignatov et al., arXiv:2105.07825 and 2211.05910,
as far as they could be read.
"""

from typing import NamedTuple

Quality = tuple[float, float]
"""PSNR in dB and SSIM."""

_TABLE = """
model    scale Set5         Set14        B100         Urban100     Manga109     DIV2K
bicubic  2     33.68/0.9307 30.24/0.8693 29.56/0.8439 26.88/0.8408 30.82/0.9349 32.45/0.9043
fsrcnn   2     36.98/0.9556 32.62/0.9087 31.50/0.8904 29.85/0.9009 36.62/0.9710 34.74/0.9340
sesr_m3  2     37.21/0.9577 32.70/0.9100 31.56/0.8920 29.92/0.9034 36.47/0.9717 35.03/0.9373
sesr_m5  2     37.39/0.9585 32.84/0.9115 31.70/0.8938 30.33/0.9087 37.07/0.9734 35.24/0.9389
sesr_m7  2     37.47/0.9588 32.91/0.9118 31.77/0.8946 30.49/0.9105 37.14/0.9738 35.32/0.9395
sesr_m11 2     37.58/0.9593 33.03/0.9128 31.85/0.8956 30.72/0.9136 37.40/0.9746 35.45/0.9404
sesr_xl  2     37.77/0.9601 33.24/0.9145 31.99/0.8976 31.16/0.9184 38.01/0.9759 35.67/0.9420
bicubic  4     28.43/0.8113 26.00/0.7025 25.96/0.6682 23.14/0.6577 24.90/0.7855 28.10/0.7745
fsrcnn   4     30.70/0.8657 27.59/0.7535 26.96/0.7128 24.60/0.7258 27.89/0.8590 29.36/0.8110
sesr_m3  4     30.75/0.8714 27.62/0.7579 27.00/0.7166 24.61/0.7304 27.90/0.8644 29.52/0.8155
sesr_m5  4     30.99/0.8764 27.81/0.7624 27.11/0.7199 24.80/0.7389 28.29/0.8734 29.65/0.8189
sesr_m7  4     31.14/0.8787 27.88/0.7641 27.13/0.7209 24.90/0.7436 28.53/0.8778 29.72/0.8204
sesr_m11 4     31.27/0.8810 27.94/0.7660 27.20/0.7225 25.00/0.7466 28.73/0.8815 29.81/0.8221
sesr_xl  4     31.54/0.8866 28.12/0.7712 27.31/0.7277 25.31/0.7604 29.04/0.8901 29.94/0.8266
"""


def published(model: str) -> dict[int, dict[str, Quality]]:
    """What was printed for `model`, by scale and dataset; empty where nothing was."""
    header, *rows = (line.split() for line in _TABLE.strip().splitlines())
    figures: dict[int, dict[str, Quality]] = {}
    for name, scale, *cells in rows:
        if name == model:
            pairs = [tuple(map(float, cell.split("/"))) for cell in cells]
            figures[int(scale)] = dict(zip(header[2:], pairs, strict=True))  # type: ignore[arg-type]
    return figures


class Entry(NamedTuple):
    """A row of a challenge's table.

    Attributes:
      edition: the year.
      team: who; "bicubic" is the baseline, which was not timed.
      model: of the zoo, where it has the network; "" elsewhere.
      psnr: dB on RGB, of the INT8 file.
      ssim: likewise.
      milliseconds: on the NPU of the Synaptics VS680.
      score: as printed.
    """

    edition: str
    team: str
    model: str
    psnr: float
    ssim: float
    milliseconds: float | None
    score: float | None


_MOBILE_AI = """
2021 Aselsan_Research     xlsr      29.58 0.8609 44.85 51.02
2021 MCG                  abpn      29.87 0.8686 36.89 92.72
2021 Noah_TerminalVision  tinysrnet 29.41 0.8537 38.32 47.18
2021 ALONG                along     29.52 0.8607 62.25 33.82
2021 bicubic              -         28.26 0.8277 -     -
2022 Z6                   z6        30.03 0.8738 19.20 22.22
2022 TCLAB_giants         -         29.88 0.8705 15.9  21.84
2022 ECNUSR               -         29.82 0.8697 15.1  21.08
2022 LCVG                 -         29.76 0.8675 14.4  20.33
2022 BOE-IOT-AIBD         -         29.80 0.8675 16.1  19.2
2022 NJUST                -         29.76 0.8676 15.8  18.5
2022 Antins_cv            -         29.58 0.8609 15.2  15.0
2022 GenMedia             -         29.90 0.8704 25.6  13.9
2022 ABPN_(baseline)      abpn      29.87 0.8686 36.9  9.27
"""


def challenge_entries() -> list[Entry]:
    """The published rows, edition by edition."""

    def number(cell: str) -> float | None:
        return None if cell == "-" else float(cell)

    rows = (line.split() for line in _MOBILE_AI.strip().splitlines())
    return [
        Entry(
            edition=edition,
            team=team.replace("_", " "),
            model=model.strip("-"),
            psnr=float(psnr),
            ssim=float(ssim),
            milliseconds=number(milliseconds),
            score=number(score),
        )
        for edition, team, model, psnr, ssim, milliseconds, score in rows
    ]
