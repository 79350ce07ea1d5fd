"""NTIRE's challenges on efficient super-resolution since 2024: ×4 on RGB, costs against those of a baseline.

    NTIRE_2026.score({"milliseconds": 5.24, "macs": 9.11, "parameters": 0.139})     # 4.37

The score is Σ wᵢ · exp(2 · mᵢ / bᵢ) over time, FLOPs and parameters mᵢ and the baseline's bᵢ; the baseline
itself has e² = 7.39, and the lowest wins. Entries must reach 26.90 dB on the validation images of DIV2K and
LSDIR, and 26.99 dB on the test images, in two decimals. "FLOPs" are the multiply-accumulates of an image of
256×256. The figures are those of the organisers' repositories; runtimes of 2025 are not public.
"""

import math
from collections.abc import Mapping

from sesr_jax.challenges.challenge import Challenge, Entry, Measure, Measures, Scoring, score_each
from sesr_jax.metrics import RGB

_MEASURES = (
    Measure(key="psnr", title="PSNR", is_cost=False),
    Measure(key="psnr_test", title="test", is_cost=False),
    Measure(key="milliseconds", title="ms"),
    Measure(key="parameters", title="params M", digits=3),
    Measure(key="macs", title="FLOPs G"),
    Measure(key="activations", title="acts M"),
    Measure(key="convolutions", title="#conv", digits=0),
)

# Edition, team, model of the zoo; PSNR of validation and test images; ms, 10⁶ parameters, 10⁹ FLOPs, 10⁶
# activations, convolutions. The first entry of an edition is its baseline.
_TABLE = """
2024 RLFN      rlfn_ntire2022 26.96 27.07 13.54 .317 19.67  80.05  39
2024 XiaomiMM  span_ntire2024 26.94 27.01  5.59 .151  9.83  41.68  22
2025 EFDN      efdn           26.93 27.01 16.69 .276 16.70 111.12  65
2025 EMSR      span_tiny          -     -     - .131  8.54      -   -
2025 XiaomiMM  -                  -     -     - .148  9.68      -   -
2025 ShannonLab -                 -     -     - .172 11.23      -   -
2026 SPAN      span_ntire2024     -     -  7.74 .151  9.83  41.68  22
2026 SPANV2    spanv2         26.92 27.00  5.24 .139  9.11  42.99  18
2026 PDS       -              26.90 26.99  6.70 .142  9.25  39.06  18
2026 PKDSR     -              26.91 27.00  6.80 .144  9.40  39.32  18
2026 DISP      -              26.90 27.02  6.51 .164 10.69  40.89  19
2026 DSCF_Fused -             26.92 26.99  7.88 .126  8.22  38.93  22
2026 ERRN2     -              26.90 27.01  9.37 .246 16.06      -   -
2026 ZenoSR    -              26.90 27.01 45.46 .038  2.68 153.82 102
2026 HAESR     -              27.08 27.22 86.08 .353 26.61      -   -
"""

_GATE = {"psnr": 26.90, "psnr_test": 26.99}

_EDITIONS = {
    "2024": ("Ren et al., The Ninth NTIRE 2024 Efficient Super-Resolution Challenge Report", 0.7),
    "2025": ("Ren et al., The Tenth NTIRE 2025 Efficient Super-Resolution Challenge Report", 0.7),
    "2026": ("NTIRE 2026 Challenge on Efficient Super-Resolution, arXiv:2604.03198", 0.8),
}
"""The report of each edition, and the weight of time; FLOPs and parameters share the rest."""


def _read_entries(edition: str) -> tuple[Entry, ...]:
    entries = []
    for line in _TABLE.strip().splitlines():
        year, team, model, *cells = line.split()
        figures = zip((one.key for one in _MEASURES), cells, strict=True)
        measures = {key: float(cell) for key, cell in figures if cell != "-"}
        if year == edition:
            entries.append(
                Entry(team=team, edition=year, model=model.strip("-"), measures=measures)
            )
    return tuple(entries)


def _make_scoring(baseline: Measures, weights: Mapping[str, float]) -> Scoring:
    return score_each(
        lambda measures: sum(
            weight * math.exp(2 * measures[key] / baseline[key]) for key, weight in weights.items()
        )
    )


def _reaches_gate(measures: Measures) -> bool:
    """Returns whether no PSNR that is known lies below the gate."""
    return all(round(measures.get(key, least), 2) >= least for key, least in _GATE.items())


def _make_challenge(edition: str) -> Challenge:
    report, share = _EDITIONS[edition]
    entries = _read_entries(edition)
    rest = (1 - share) / 2
    return Challenge(
        name=f"ntire{edition}",
        title=f"NTIRE {edition}, efficient super-resolution",
        edition=edition,
        task="×4 on RGB, time, FLOPs and parameters against those of a baseline",
        report=report,
        scale=4,
        frame=(256, 256),
        protocol=RGB,
        quality="PSNR in dB on RGB",
        data="DIV2K and LSDIR",
        target="",
        measures=_MEASURES,
        scoring=_make_scoring(
            entries[0].measures, {"milliseconds": share, "macs": rest, "parameters": rest}
        ),
        best="lowest",
        entries=entries,
        gate=_reaches_gate,
        gate_rule="PSNR of 26.90 dB on the validation images and 26.99 dB on the test images",
    )


NTIRE_2024, NTIRE_2025, NTIRE_2026 = map(_make_challenge, _EDITIONS)
