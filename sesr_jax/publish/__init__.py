"""Shipping a trained network: its weights, what is known of it, and its card."""

from sesr_jax.publish.card import FORMS, card, curve, results_table
from sesr_jax.publish.facts import publish

__all__ = ["FORMS", "card", "curve", "publish", "results_table"]
