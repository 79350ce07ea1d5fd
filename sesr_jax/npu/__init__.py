"""What a network costs on an NPU: layers, targets, latency estimates."""

from sesr_jax.npu.accepts import check_accepted, refusals
from sesr_jax.npu.estimate import Report, Row, estimate
from sesr_jax.npu.layers import Layer, layers_from_graph
from sesr_jax.npu.targets import TARGETS, Target, find_target
from sesr_jax.npu.tflite import layers_from_tflite

__all__ = [
    "TARGETS",
    "Layer",
    "Report",
    "Row",
    "Target",
    "check_accepted",
    "estimate",
    "find_target",
    "layers_from_graph",
    "layers_from_tflite",
    "refusals",
]
