"""Upscalers side by side: their quality on sets of images, and what INT8 costs them."""

from sesr_jax.compare.int8 import Case, Row, int8_cost, table
from sesr_jax.compare.leaderboard import entered, estimated, leaderboard, measured
from sesr_jax.compare.sets import Score, measure

__all__ = [
    "Case",
    "Row",
    "Score",
    "entered",
    "estimated",
    "int8_cost",
    "leaderboard",
    "measure",
    "measured",
    "table",
]
