"""Results for people: one HTML page, and tables for the terminal."""

from sesr_jax.report.page import (
    Bars,
    Block,
    Compare,
    Dots,
    Page,
    Paragraph,
    Picture,
    Plot,
    Scatter,
    Section,
    Table,
    html,
    write,
    write_svg,
)
from sesr_jax.report.table import markdown_table, text_table

__all__ = [
    "Bars",
    "Block",
    "Compare",
    "Dots",
    "Page",
    "Paragraph",
    "Picture",
    "Plot",
    "Scatter",
    "Section",
    "Table",
    "html",
    "markdown_table",
    "text_table",
    "write",
    "write_svg",
]
