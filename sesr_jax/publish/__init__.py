"""Ships a trained network: its weights, the facts about them, and its card."""

from sesr_jax.publish.card import (
    COLUMNS,
    FORMS,
    describe_training,
    list_figures,
    make_card,
    make_results_table,
    plot_curve,
)
from sesr_jax.publish.facts import publish

__all__ = [
    "COLUMNS",
    "FORMS",
    "describe_training",
    "list_figures",
    "make_card",
    "make_results_table",
    "plot_curve",
    "publish",
]
