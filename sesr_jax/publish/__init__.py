"""Ships a trained network: its weights, the facts about them, and its card."""

from sesr_jax.publish.card import (
    COLUMNS,
    FORMS,
    describe_training,
    has_float_network,
    list_figures,
    make_card,
    make_results_table,
    plot_curve,
    with_note,
)
from sesr_jax.publish.facts import publish

__all__ = [
    "COLUMNS",
    "FORMS",
    "describe_training",
    "has_float_network",
    "list_figures",
    "make_card",
    "make_results_table",
    "plot_curve",
    "publish",
    "with_note",
]
