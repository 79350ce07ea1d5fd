"""Training: config, step, stages, checkpoints, log, loop."""

from sesr_jax.train.checkpoint import load_network
from sesr_jax.train.config import base, stage, variant
from sesr_jax.train.legs import Leg, legs
from sesr_jax.train.log import read_log
from sesr_jax.train.loop import EXPANDED, WEIGHTS, train

__all__ = [
    "EXPANDED",
    "WEIGHTS",
    "Leg",
    "base",
    "legs",
    "load_network",
    "read_log",
    "stage",
    "train",
    "variant",
]
