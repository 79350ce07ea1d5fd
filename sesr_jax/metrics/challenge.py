"""The score of the Mobile AI challenges: ×3, RGB, INT8, 640×360 to 1920×1080, quality against time.

    score(29.58, 44.85)                      # the winner of 2021
    equal_time(29.58, 44.85, other=28.26)    # ms in which bicubic interpolation would score as much

Half a decibel is worth a factor of two in time. The reports print the formula and not its constant:
`CONSTANTS` are those that give the printed scores back, to 0.1 % for 2021. `challenge_entries` are the
published rows (Ignatov et al., arXiv:2105.07825 and 2211.05910), as far as they are known here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sesr_jax.errors import InputError, look_up

SCALE = 3
FRAME = (360, 640)
"""(height, width) of the input that is timed."""

CONSTANTS: Mapping[str, float] = {"2021": 2.815e14, "2022": 2.82e15}
"""C by edition, for times in ms."""


def score(psnr: float, milliseconds: float, edition: str = "2021") -> float:
    """2^(2 · PSNR) / (C · time), for a PSNR in dB on RGB.

    Raises:
      InputError: the edition is unknown, or the time is not positive.
    """
    if not milliseconds > 0:
        raise InputError(f"a time of {milliseconds:g} ms: it must be positive; measure it again.")
    return 2 ** (2 * psnr) / (look_up("edition", edition, CONSTANTS) * milliseconds)


def equal_time(psnr: float, milliseconds: float, other: float) -> float:
    """The milliseconds in which a PSNR of `other` has the same score."""
    return milliseconds * 2 ** (2 * (other - psnr))


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
