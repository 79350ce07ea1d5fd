"""What a network costs on an NPU: layers, targets, latency estimates, tiles."""

from sesr_jax.npu.accepts import check_accepted, refusals
from sesr_jax.npu.advice import Idea, find_ideas
from sesr_jax.npu.estimate import Report, Row, estimate
from sesr_jax.npu.layers import Layer, at_size, layers_from_graph
from sesr_jax.npu.page import Candidate, latency_page
from sesr_jax.npu.photo_tiling import best_photo_tiling
from sesr_jax.npu.rules import refusal
from sesr_jax.npu.tflite_layers import layers_from_tflite
from sesr_jax.npu.tiling import Tiling, best_tiling

__all__ = [
    "Candidate",
    "Idea",
    "Layer",
    "Report",
    "Row",
    "Tiling",
    "at_size",
    "best_photo_tiling",
    "best_tiling",
    "check_accepted",
    "estimate",
    "find_ideas",
    "latency_page",
    "layers_from_graph",
    "layers_from_tflite",
    "refusal",
    "refusals",
]
