"""Upscalers side by side: their quality on sets of images, and what INT8 costs them."""

from sesr_jax.compare.int8 import Case, Row, int8_cost, int8_files, table
from sesr_jax.compare.leaderboard import (
    Ours,
    enter,
    estimated_time,
    known_time,
    leaderboard,
    measured_time,
)
from sesr_jax.compare.page import Measured, quality_page
from sesr_jax.compare.sets import Score, finite, measure, short_names

__all__ = [
    "Case",
    "Measured",
    "Ours",
    "Row",
    "Score",
    "enter",
    "estimated_time",
    "finite",
    "int8_cost",
    "int8_files",
    "known_time",
    "leaderboard",
    "measure",
    "measured_time",
    "quality_page",
    "short_names",
    "table",
]
