"""Results for people: one HTML page, and tables for the terminal."""

from sesr_jax.report.page import (
    Block,
    Compare,
    Dots,
    Page,
    Paragraph,
    Picture,
    Plot,
    Section,
    Table,
    html,
    write,
)
from sesr_jax.report.table import text_table

__all__ = [
    "Block",
    "Compare",
    "Dots",
    "Page",
    "Paragraph",
    "Picture",
    "Plot",
    "Section",
    "Table",
    "html",
    "text_table",
    "write",
]
