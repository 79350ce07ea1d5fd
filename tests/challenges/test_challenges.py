"""Challenges against the tables that were printed, and what the type can hold beside them."""

import dataclasses
import math
from collections.abc import Sequence

import pytest

from sesr_jax.challenges import (
    CHALLENGES,
    MOBILE_AI_2021,
    MOBILE_AI_2022,
    Challenge,
    Entry,
    Measure,
    Measures,
    find_challenge,
    score_each,
)
from sesr_jax.compare import make_leaderboard
from sesr_jax.errors import InputError
from sesr_jax.metrics import RGB
from sesr_jax.models import VARIANTS

_PRINTED = [
    (challenge, entry)
    for challenge in CHALLENGES.values()
    for entry in challenge.entries
    if entry.score is not None
]


@pytest.mark.parametrize(
    ("challenge", "entry"), _PRINTED, ids=lambda x: x.team if isinstance(x, Entry) else x.name
)
def test_published_scores_come_out(challenge, entry):
    """To 0.1 %; Mobile AI 2022 printed times with a digit less, whose rounding explains more."""
    bound = 1e-3 + (0.05 / entry.measures["milliseconds"] if challenge is MOBILE_AI_2022 else 0)
    assert challenge.score(entry.measures) == pytest.approx(entry.score, rel=bound)


@pytest.mark.parametrize("challenge", CHALLENGES.values(), ids=CHALLENGES)
def test_a_challenge_fits_together(challenge):
    keys = {measure.key for measure in challenge.measures}
    for entry in challenge.entries:
        assert entry.measures.keys() <= keys
        if entry.model:
            assert challenge.scale in VARIANTS[entry.model].scales
    assert find_challenge(challenge.name) is challenge
    if challenge.baseline:
        assert challenge.baseline.team in {entry.team for entry in challenge.entries}


def test_half_a_decibel_is_worth_a_factor_of_two_in_time():
    fast, fine = (
        {"psnr": 30.0, "milliseconds": 20.0},
        {"psnr": 30.5, "milliseconds": 40.0},
    )
    assert MOBILE_AI_2021.score(fine) == pytest.approx(MOBILE_AI_2021.score(fast))
    assert MOBILE_AI_2021.baseline.equal(fine, {"psnr": 30.0}) == pytest.approx(20)


def test_bad_values_are_named():
    with pytest.raises(InputError, match=" 0 ms"):
        MOBILE_AI_2022.score({"psnr": 30.0, "milliseconds": 0.0})
    with pytest.raises(InputError, match="'mobile_ai_2020'"):
        find_challenge("mobile_ai_2020")
    assert MOBILE_AI_2022.score({"psnr": 30.0}) is None


_AIM = ("seconds", "parameters", "macs", "activations", "memory", "convolutions")


def _sum_of_ranks(table: Sequence[Measures]) -> list[float | None]:
    """By six measures, of those that reach the PSNR of the baseline; the lowest wins."""
    valid = [row for row in table if row["psnr"] >= 28.70 - 0.005]
    return [
        sum(sum(other[key] < row[key] for other in valid) for key in _AIM) if row in valid else None
        for row in table
    ]


def _aim(team: str, psnr: float, *costs: float) -> Entry:
    return Entry(
        team=team, edition="2020", measures={"psnr": psnr, **dict(zip(_AIM, costs, strict=True))}
    )


def _challenge(**fields) -> Challenge:
    made = dataclasses.replace(
        MOBILE_AI_2021, scale=4, protocol=RGB, baseline=None, entries=(), target=""
    )
    return dataclasses.replace(made, **fields)


def test_ranks_over_several_measures_are_a_scoring():
    """As AIM 2020 measured efficient ×4 networks; rows of its report's Table 1."""
    challenge = _challenge(
        measures=tuple(Measure(key=key, title=key) for key in ("psnr", *_AIM)),
        scoring=_sum_of_ranks,
        best="lowest",
        entries=(
            _aim("MSRResNet", 28.70, 0.114, 1.517, 166.36, 292.55, 610, 37),
            _aim("HaiYun", 28.78, 0.058, 0.777, 49.67, 132.31, 225, 104),
            _aim("NJU_MCG", 28.75, 0.037, 0.433, 27.10, 112.03, 200, 64),
            _aim("MCML-Yonsei", 28.66, 0.070, 1.289, 84.43, 188.74, 798, 68),
        ),
    )
    rows, header = make_leaderboard(challenge, [])
    assert [row[0] for row in rows] == ["NJU_MCG", "HaiYun", "MSRResNet", "MCML-Yonsei"]
    assert rows[-1][-1] == "–"  # below the baseline's PSNR
    assert header[2:] == ["psnr", *_AIM, "score"]


def test_costs_against_a_baseline_are_a_scoring():
    """As NTIRE scores since 2024: the baseline itself has e², and lower is better."""
    efdn = {"seconds": 16.69e-3, "macs": 16.70, "parameters": 0.276}
    shares = {"seconds": 0.7, "macs": 0.15, "parameters": 0.15}
    scoring = score_each(
        lambda m: sum(share * math.exp(2 * m[key] / efdn[key]) for key, share in shares.items())
    )
    challenge = _challenge(scoring=scoring, best="lowest")
    assert challenge.score(efdn) == pytest.approx(7.3891, abs=1e-4)
    assert challenge.score({**efdn, "seconds": 5.6e-3}) < 7.3891
