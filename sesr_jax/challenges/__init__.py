"""Challenges on super-resolution as values: task, frame, protocol, score and published rows.

    find_challenge("mobile_ai_2021").entries

A new challenge is a file that makes a `Challenge`, and a place in `CHALLENGES`.
"""

from sesr_jax.challenges.aim import AIM_2020
from sesr_jax.challenges.bdci import BDCI_2023
from sesr_jax.challenges.challenge import (
    Baseline,
    Challenge,
    Entry,
    Measure,
    Measures,
    Scoring,
    score_each,
)
from sesr_jax.challenges.mobile_ai import MOBILE_AI_2021, MOBILE_AI_2022
from sesr_jax.challenges.ntire import NTIRE_2024, NTIRE_2025, NTIRE_2026
from sesr_jax.errors import look_up

CHALLENGES = {
    challenge.name: challenge
    for challenge in (
        MOBILE_AI_2021,
        MOBILE_AI_2022,
        BDCI_2023,
        AIM_2020,
        NTIRE_2024,
        NTIRE_2025,
        NTIRE_2026,
    )
}
"""The challenges by name."""


def find_challenge(name: str) -> Challenge:
    """Returns the challenge called `name`.

    Raises:
      InputError: there is no such challenge.
    """
    return look_up("challenge", name, CHALLENGES)


__all__ = [
    "AIM_2020",
    "BDCI_2023",
    "CHALLENGES",
    "MOBILE_AI_2021",
    "MOBILE_AI_2022",
    "NTIRE_2024",
    "NTIRE_2025",
    "NTIRE_2026",
    "Baseline",
    "Challenge",
    "Entry",
    "Measure",
    "Measures",
    "Scoring",
    "find_challenge",
    "score_each",
]
