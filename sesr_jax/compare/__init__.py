"""Upscalers side by side: their quality on sets of images, and what INT8 costs them."""

from sesr_jax.compare.int8 import (
    FLOAT,
    QAT,
    QAT_IN_FLOAT,
    Case,
    Row,
    choose_calibration,
    describe_forms,
    export_int8_files,
    make_table,
    measure_int8_cost,
    pair_cases,
)
from sesr_jax.compare.layers import crop_centres, make_layer_table, measure_layers
from sesr_jax.compare.leaderboard import (
    Ours,
    count_costs,
    enter,
    estimated_time,
    known_time,
    make_correlations,
    make_leaderboard,
    measured_time,
)
from sesr_jax.compare.page import Measurement, make_quality_page, measure_all
from sesr_jax.compare.results import list_costs, list_entries, list_quality, write_json
from sesr_jax.compare.sets import Score, measure, name_scores, shorten_names
from sesr_jax.compare.zoo_page import make_zoo_page

__all__ = [
    "FLOAT",
    "QAT",
    "QAT_IN_FLOAT",
    "Case",
    "Measurement",
    "Ours",
    "Row",
    "Score",
    "choose_calibration",
    "count_costs",
    "crop_centres",
    "describe_forms",
    "enter",
    "estimated_time",
    "export_int8_files",
    "known_time",
    "list_costs",
    "list_entries",
    "list_quality",
    "make_correlations",
    "make_layer_table",
    "make_leaderboard",
    "make_quality_page",
    "make_table",
    "make_zoo_page",
    "measure",
    "measure_all",
    "measure_int8_cost",
    "measure_layers",
    "measured_time",
    "name_scores",
    "pair_cases",
    "shorten_names",
    "write_json",
]
