"""The Mobile AI challenges of 2021 and 2022: ×3, RGB, INT8, 640×360 to 1920×1080, quality against time.

    MOBILE_AI_2021.score({"psnr": 29.58, "milliseconds": 44.85})  # 51.02, the winner's

The score is 2^(2 · PSNR) / (C · time): half a decibel is worth a factor of two in time. The reports (Ignatov
et al., arXiv:2105.07825 and 2211.05910) print the formula without its constant C. The constants here
reproduce the printed scores, to 0.1 % for 2021.
"""

from sesr_jax.challenges.challenge import (
    Baseline,
    Challenge,
    Entry,
    Measure,
    Measures,
    Scoring,
    score_each,
)
from sesr_jax.errors import InputError
from sesr_jax.metrics import MOBILE_AI

_MEASURES = (
    Measure(key="psnr", title="PSNR"),
    Measure(key="ssim", title="SSIM", digits=4),
    Measure(key="milliseconds", title="ms"),
)

_SCALE = 3

# edition, team, model of the zoo; PSNR in dB on RGB and SSIM of the INT8 file; ms on the NPU of the Synaptics
# VS680; the score. The bicubic baseline was not timed.
_TABLE = """
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


def _read_entries() -> tuple[Entry, ...]:
    entries = []
    for line in _TABLE.strip().splitlines():
        edition, team, model, *cells, score = line.split()
        entries.append(
            Entry(
                team=team.replace("_", " "),
                edition=edition,
                model=model.strip("-"),
                measures={
                    measure.key: float(cell)
                    for measure, cell in zip(_MEASURES, cells, strict=True)
                    if cell != "-"
                },
                score=None if score == "-" else float(score),
            )
        )
    return tuple(entries)


_ENTRIES = _read_entries()


def _make_scoring(constant: float) -> Scoring:
    def score(measures: Measures) -> float:
        if not (milliseconds := measures["milliseconds"]) > 0:
            raise InputError(f"the time is {milliseconds:g} ms: it must be positive.")
        return 2 ** (2 * measures["psnr"]) / (constant * milliseconds)

    return score_each(score)


def _compute_equal_time(entry: Measures, baseline: Measures) -> float:
    """Returns the milliseconds with which the baseline would reach the entry's score."""
    return entry["milliseconds"] * 2 ** (2 * (baseline["psnr"] - entry["psnr"]))


def _make_challenge(edition: str, report: str, constant: float) -> Challenge:
    return Challenge(
        name=f"mobile_ai_{edition}",
        title=f"Mobile AI {edition}",
        edition=edition,
        task="×3 on RGB, full INT8, on the NPU of the Synaptics VS680",
        report=f"Ignatov et al., {report}",
        scale=_SCALE,
        frame=(360, 640),
        protocol=MOBILE_AI,
        quality="PSNR in dB and SSIM on RGB, one pixel of border cut",
        data="DIV2K",  # 0801 to 0900, or the hidden test set
        target="vs680",
        measures=_MEASURES,
        scoring=_make_scoring(constant),
        # The baseline of 2021, which was not timed, is part of both tables.
        entries=tuple(e for e in _ENTRIES if e.edition == edition or e.score is None),
        baseline=Baseline(
            team="bicubic",
            model=f"bicubic_x{_SCALE}",
            title="= bicubic in",
            equal=_compute_equal_time,
            unit="ms",
        ),
    )


MOBILE_AI_2021 = _make_challenge(
    "2021", "Mobile AI 2021 Challenge: Report, arXiv:2105.07825", constant=2.815e14
)
MOBILE_AI_2022 = _make_challenge(
    "2022", "Mobile AI & AIM 2022 Challenge: Report, arXiv:2211.05910", constant=2.82e15
)
