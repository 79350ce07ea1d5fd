"""Results for people: one HTML page, and tables for the terminal."""

from sesr_jax.report.content import (
    Bars,
    Block,
    Comparison,
    Dots,
    Image,
    Page,
    Paragraph,
    Plot,
    Scatter,
    Section,
    Table,
)
from sesr_jax.report.html import to_html, write_page
from sesr_jax.report.plots import write_svg
from sesr_jax.report.table import format_markdown_table, format_table

__all__ = [
    "Bars",
    "Block",
    "Comparison",
    "Dots",
    "Image",
    "Page",
    "Paragraph",
    "Plot",
    "Scatter",
    "Section",
    "Table",
    "format_markdown_table",
    "format_table",
    "to_html",
    "write_page",
    "write_svg",
]
