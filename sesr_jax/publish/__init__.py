"""Shipping a trained network: its weights, what is known of it, and its card."""

from sesr_jax.publish.card import card, curve, results_table
from sesr_jax.publish.facts import FLOAT, INT8_FORMS, publish

__all__ = ["FLOAT", "INT8_FORMS", "card", "curve", "publish", "results_table"]
