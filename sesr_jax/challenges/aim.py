"""AIM 2020's challenge on efficient super-resolution: ×4 on RGB, at least MSRResNet's PSNR at the least cost.

    [entry.team for entry in AIM_2020.entries if not AIM_2020.gate(entry.measures)]

Six measures were printed beside each other, with the rank in most of them, and no score that sums them up
(Zhang et al., arXiv:2009.06943, Table 1). The ranks here are the printed ones. Runtimes are those of a
Titan Xp, means over the validation images; figures that teams reported and nobody measured are left out.
"""

from sesr_jax.challenges.challenge import Challenge, Entry, Measure, Measures
from sesr_jax.metrics import RGB

_MEASURES = (
    Measure(key="psnr", title="PSNR", is_cost=False),
    Measure(key="psnr_test", title="test", is_cost=False),
    Measure(key="milliseconds", title="ms", digits=0),
    Measure(key="parameters", title="params M", digits=3),
    Measure(key="flops", title="FLOPs G"),
    Measure(key="activations", title="acts M"),
    Measure(key="memory", title="memory M", digits=0),
    Measure(key="convolutions", title="#conv", digits=0),
)

_RANKED = ("milliseconds", "parameters", "flops", "activations", "memory")

# Team, model of the zoo; PSNR of DIV2K's validation and test images; ms, 10⁶ parameters, 10⁹ FLOPs, 10⁶
# activations and memory in 10⁶, each with its rank behind a slash where one is printed; convolutions. In the
# report's order: the ranked entries, those below the baseline's PSNR, those measured in part, and baselines.
_TABLE = """
NJU_MCG        rfdn_aim2020 29.04 28.75   37/1   .433/3   27.10/2  112.03/1  200/4   64
AiriA_CG       fimdn        29.00 28.70   37/1   .687/10  44.98/9  118.49/2  168/3   33
UESTC-MediaLab uestc_medialab 29.01 28.70   60/4   .461/5   30.06/4  219.61/10 146/2   57
XPixel         pan          29.01 28.70   66/6   .272/1   32.19/6  270.53/12 311/8  121
HaiYun         latticenet   29.09 28.78   58/3   .777/13  49.67/10 132.31/4  225/5  104
IPCV_IITM      -            29.10 28.68   64/5   .761/12  50.85/11 130.41/3  229/6   59
404NotFound    -            29.01 28.70   73/9   .599/8   39.36/7  170.06/6  271/7   90
MDISL-lab      -            29.01 28.68   67/7   .660/9   42.40/8  149.09/5  516/12  61
MLVC           maffsrn      29.00 28.72  104/11  .441/4   27.11/3  212.24/9  112/1  159
XMUlab         -            29.00 28.77   78/10  .691/11  53.62/12 184.74/7  468/10  72
MCML-Yonsei    -            29.01 28.66   70/8  1.289/15  84.43/14 188.74/8  798/16  68
ZJUESR2020     -            29.04 28.74  105/12  .516/6   54.38/13 225.44/11 594/13  42
SC-CVLAB       -            29.01 28.72  157     .353/2   26.96/1  302.30/13 595/15  91
HiImageTeam    -            29.01 28.68  153     .530/7   90.11/15 325.05/14 378/9  101
SAMSUNG_TOR_AIC -           28.98 28.71  240     .558/8   31.88/5  576.45/16 477/11  59
neptuneai      -            29.14 28.84  217    1.227/14 147.72/16 535.82/15 597/15  45
InnoPeak_SR    -            28.93 28.60   53     .361     81.72    145.75     66     35
Summer         -            28.87 28.54   43     .488     31.82    125.30    227     35
Zhang9678      -            28.78 28.50    -       -         -         -       -      -
H-ZnCa         -            28.69 28.42   45     .364     32.01    170.45    299     67
MLP_SR         -            27.89 27.77 1313     .047        -         -    1064      -
lyl            -            29.44 29.13    -       -         -         -       -      -
LMSR           -            29.00 28.71    -       -         -         -       -      -
CET_CVLab      -            29.00 28.74 5000       -         -         -       -      -
wozhu          -            28.98     -    -       -         -         -       -      -
IMDN           imdn_aim2019 29.13 28.78   50     .893     58.53    154.14    120     43
MSRResNet      msrresnet    29.00 28.70  114    1.517    166.36    292.55    610     37
"""


def _read_entries() -> tuple[Entry, ...]:
    entries = []
    for line in _TABLE.strip().splitlines():
        team, model, *cells = line.split()
        figures = dict(zip((one.key for one in _MEASURES), cells, strict=True))
        parts = {key: cell.partition("/") for key, cell in figures.items() if cell != "-"}
        entries.append(
            Entry(
                team=team,
                edition="2020",
                model=model.strip("-"),
                measures={key: float(value) for key, (value, _, _) in parts.items()},
                ranks={key: int(rank) for key, (_, _, rank) in parts.items() if rank},
            )
        )
    return tuple(entries)


_ENTRIES = _read_entries()
_BASELINE = _ENTRIES[-1].measures


def _reaches_baseline(measures: Measures) -> bool:
    """Returns whether MSRResNet's PSNR, in two decimals, is reached on the validation or the test images.

    The report ranks entries that reach one of both, and none that reaches neither.
    """
    return any(round(measures.get(key, 0.0), 2) >= _BASELINE[key] for key in ("psnr", "psnr_test"))


AIM_2020 = Challenge(
    name="aim2020",
    title="AIM 2020, efficient super-resolution",
    edition="2020",
    task="×4 on RGB, at least the PSNR of MSRResNet at the least cost",
    report="Zhang et al., AIM 2020 Challenge on Efficient Super-Resolution, arXiv:2009.06943",
    scale=4,
    frame=(256, 256),
    protocol=RGB,
    quality="PSNR in dB on RGB",
    data="DIV2K, 0801 to 0900 and the hidden test set",
    target="",
    measures=_MEASURES,
    scoring=None,
    entries=_ENTRIES,
    gate=_reaches_baseline,
    gate_rule="PSNR of 29.00 dB on the validation images or 28.70 dB on the test images",
    correlated=(*_RANKED[1:], "convolutions"),
)
