"""Challenges against the tables that were printed, and what the type can hold beside them."""

import jax
import pytest

from sesr_jax.challenges import (
    AIM_2020,
    CHALLENGES,
    MOBILE_AI_2021,
    MOBILE_AI_2022,
    NTIRE_2024,
    NTIRE_2025,
    NTIRE_2026,
    Entry,
    find_challenge,
)
from sesr_jax.compare import Ours, count_costs, make_correlations, make_leaderboard
from sesr_jax.errors import InputError
from sesr_jax.models import VARIANTS, network

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
    assert set(challenge.correlated) <= keys


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


def test_the_report_of_aim_2020_comes_out():
    """Spearman's rank correlations of the runtime, which confirm the digits of all columns and the rows."""
    table = [entry.measures for entry in AIM_2020.entries]
    found = AIM_2020.correlate(table)
    assert {key: round(value, 4) for key, value in found.items()} == {
        "parameters": 0.1734,
        "flops": 0.2397,
        "activations": 0.8737,
        "memory": 0.6671,
        "convolutions": 0.2886,
    }
    ranked = [entry.team for entry in AIM_2020.entries if entry.ranks]
    assert (len(ranked), ranked[:3]) == (16, ["NJU_MCG", "AiriA_CG", "UESTC-MediaLab"])
    below = {e.team for e in AIM_2020.entries if not AIM_2020.gate(e.measures)}
    assert below == {"InnoPeak_SR", "Summer", "Zhang9678", "H-ZnCa", "MLP_SR", "wozhu"}
    assert AIM_2020.correlate(table[:2]) == {}
    assert AIM_2020.score(table[0]) is None


def test_ours_stand_behind_those_of_aim_2020_with_the_ranks_that_they_would_have():
    costs = {"milliseconds": 36.0, "parameters": 0.44, "flops": 27.2}
    ours = [
        Ours(model=str(psnr), measures={"psnr": psnr, **costs}, by="a clock")
        for psnr in (28.994, 28.996)
    ]
    rows, header = make_leaderboard(AIM_2020, ours)
    assert [row[0] for row in rows[:2]] == ["NJU_MCG", "AiriA_CG"]
    assert [row[0] for row in rows[-2:]] == ["28.994", "28.996"]
    assert rows[-1][4:7] == ["36 (1)", "0.440 (4)", "27.20 (4)"]
    assert [row[-1] for row in rows[-2:]] == ["below", ""]
    assert header[-1] == "gate"
    # Measures that none of a clock's rows has are left out.
    (published, *_), columns = make_correlations(AIM_2020, ours)
    assert published[1:] == ["0.1734", "0.2397", "0.8737", "0.6671", "0.2886"]
    assert len(columns) == len(published)


@pytest.mark.parametrize("challenge", [NTIRE_2024, NTIRE_2025, NTIRE_2026], ids=lambda c: c.name)
def test_the_baseline_of_ntire_has_the_square_of_e(challenge):
    baseline = challenge.entries[0].measures
    assert challenge.score(baseline) == pytest.approx(7.3891, abs=1e-4)
    assert challenge.score({**baseline, "milliseconds": 1.0}) < 7.3891
    assert not challenge.gate({"psnr": 26.894})
    assert challenge.gate({"psnr": 26.8964, "psnr_test": 26.9856})


def test_the_winner_of_ntire_2026_has_its_score():
    best = min(NTIRE_2026.entries, key=lambda entry: NTIRE_2026.score(entry.measures))
    assert best.team == "SPANV2"
    assert NTIRE_2026.score(best.measures) == pytest.approx(4.367, abs=1e-3)


def test_costs_of_ours_are_counted_as_the_report_counts_them():
    made = network.init("span_tiny", scale=4, key=jax.random.key(0), features=4, blocks=1)
    found = count_costs(NTIRE_2026, made)
    assert found.keys() == {"parameters", "macs", "activations", "convolutions"}
    assert found["convolutions"] == 7
