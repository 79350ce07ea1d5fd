"""Ships a trained network: its weights, the facts about them, and its card."""

from sesr_jax.publish.card import COLUMNS, FORMS, card, curve, recipe, results, results_table
from sesr_jax.publish.facts import publish

__all__ = [
    "COLUMNS",
    "FORMS",
    "card",
    "curve",
    "publish",
    "recipe",
    "results",
    "results_table",
]
