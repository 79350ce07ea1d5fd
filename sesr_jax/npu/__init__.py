"""What a network costs on an NPU: layers, targets, latency estimates, tiles."""

from sesr_jax.npu.accepts import check_accepted, check_latency, list_refusals
from sesr_jax.npu.advice import Idea, find_ideas
from sesr_jax.npu.estimate import Report, Row, estimate
from sesr_jax.npu.layers import Layer, layers_from_graph, with_input_size
from sesr_jax.npu.page import Candidate, make_latency_page
from sesr_jax.npu.photo_tiling import find_best_photo_tiling
from sesr_jax.npu.rules import find_refusal
from sesr_jax.npu.tflite_layers import layers_from_tflite
from sesr_jax.npu.tiling import Tiling, find_best_tiling

__all__ = [
    "Candidate",
    "Idea",
    "Layer",
    "Report",
    "Row",
    "Tiling",
    "check_accepted",
    "check_latency",
    "estimate",
    "find_best_photo_tiling",
    "find_best_tiling",
    "find_ideas",
    "find_refusal",
    "layers_from_graph",
    "layers_from_tflite",
    "list_refusals",
    "make_latency_page",
    "with_input_size",
]
