"""Upscalers side by side: their quality on sets of images, and what INT8 costs them."""

from sesr_jax.compare.int8 import Case, Row, export_int8_files, measure_int8_cost, pair_cases, table
from sesr_jax.compare.leaderboard import (
    Ours,
    enter,
    estimated_time,
    known_time,
    leaderboard,
    measured_time,
)
from sesr_jax.compare.page import Measurement, measure_all, quality_page
from sesr_jax.compare.results import list_costs, list_entries, list_quality, write_json
from sesr_jax.compare.sets import Score, measure, shorten_names

__all__ = [
    "Case",
    "Measurement",
    "Ours",
    "Row",
    "Score",
    "enter",
    "estimated_time",
    "export_int8_files",
    "known_time",
    "leaderboard",
    "list_costs",
    "list_entries",
    "list_quality",
    "measure",
    "measure_all",
    "measure_int8_cost",
    "measured_time",
    "pair_cases",
    "quality_page",
    "shorten_names",
    "table",
    "write_json",
]
