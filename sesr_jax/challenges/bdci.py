"""The challenge of CCF BDCI 2023 (datafountain 972): super-resolution on Sophgo's BM1684X, judged by NIQE.

The score is 200 · √(7 - NIQE) / seconds, with the mean time of an image. It was found from the printed rows,
which it gives but for what their rounded times explain. The rows are those that the team Absofastlutely
measured and published (Kahsolt/CCF-BDCI-2023-TPU-sr-deploy): on the test set A, and of its final networks on
B. EDGE and DETAIL are filters that Pillow applied afterwards, whose time is not counted.
"""

import math

from sesr_jax.challenges.challenge import Challenge, Entry, Measure, Measures, score_each
from sesr_jax.errors import InputError
from sesr_jax.metrics import RGB

# name; edition; seconds; NIQE; score
_ROWS = """
CARN-M                      A 0.9991 5.0776  277.5417
CARN                        A 0.9605 5.0115  293.6364
NinaSR                      A 0.7442 4.8958  389.8195
ESPCN,~luma,~DETAIL         A 0.6879 5.2197  387.9559
ESPCN_ex                    A 0.4264 5.8571  501.4783
ESPCN_ex,~no~padding        A 0.2301 5.4146 1094.2843
ESPCN_ex,~DETAIL            A 0.1922 5.7573 1159.8901
ESPCN_ex,~EDGE              A 0.1924 4.4465 1661.0886
ESPCN_ex,~EDGE,~one~thread  B 0.1615 4.5679 1930.9247
ESPCN_ex,~EDGE,~4~threads   B 0.0983 4.3761 3296.2499
ESPCN_ee,~filter~inside     B 0.1161 4.4613 2745.5968
ESPCN_um,~filter~inside     B 0.1164 4.2143 2867.1234
"""


def _score(measures: Measures) -> float:
    quality, milliseconds = measures["niqe"], measures["milliseconds"]
    if not milliseconds > 0:
        raise InputError(f"the time is {milliseconds:g} ms: it must be positive.")
    return 200 * math.sqrt(max(0.0, 7 - quality)) / (milliseconds / 1e3)


def _read_entries() -> tuple[Entry, ...]:
    entries = []
    for line in _ROWS.strip().splitlines():
        team, part, seconds, quality, score = line.split()
        measures = {"niqe": float(quality), "milliseconds": float(seconds) * 1e3}
        entries.append(
            Entry(
                team=team.replace("~", " "),
                edition=f"2023 {part}",
                measures=measures,
                score=float(score),
            )
        )
    return tuple(entries)


BDCI_2023 = Challenge(
    name="bdci2023",
    title="CCF BDCI 2023",
    edition="2023",
    task="×4 on RGB, on Sophgo's BM1684X",
    report="datafountain 972; rows of Kahsolt/CCF-BDCI-2023-TPU-sr-deploy",
    scale=4,
    frame=(
        480,
        640,
    ),  # the sizes of its images are not public; Sophgo prints its times for this frame
    protocol=RGB,
    quality="NIQE of the upscaled images, which have no reference",
    data="600 photos that were not published",
    target="bm1684x-int8",
    measures=(Measure(key="niqe", title="NIQE", digits=4), Measure(key="milliseconds", title="ms")),
    scoring=score_each(_score),
    entries=_read_entries(),
)
