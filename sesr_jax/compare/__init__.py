"""Upscalers side by side: their quality on sets of images, and what INT8 costs them."""

from sesr_jax.compare.int8 import Case, Row, int8_cost, int8_files, table
from sesr_jax.compare.leaderboard import entered, estimated, given, leaderboard, measured
from sesr_jax.compare.page import Measured, quality_page
from sesr_jax.compare.sets import Score, finite, measure, short_names

__all__ = [
    "Case",
    "Measured",
    "Row",
    "Score",
    "entered",
    "estimated",
    "finite",
    "given",
    "int8_cost",
    "int8_files",
    "leaderboard",
    "measure",
    "measured",
    "quality_page",
    "short_names",
    "table",
]
