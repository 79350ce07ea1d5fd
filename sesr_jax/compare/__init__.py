"""Upscalers side by side: their quality on sets of images, and what INT8 costs them."""

from sesr_jax.compare.int8 import Case, Row, int8_cost, int8_files, table
from sesr_jax.compare.page import Measured, quality_page
from sesr_jax.compare.sets import Score, measure

__all__ = [
    "Case",
    "Measured",
    "Row",
    "Score",
    "int8_cost",
    "int8_files",
    "measure",
    "quality_page",
    "table",
]
