"""Deployable files: TFLite with its checks and its runtime, and ONNX."""

from sesr_jax.export.ai_benchmark import APP_FILE, ai_benchmark_options, ai_benchmark_path
from sesr_jax.export.checks import check_integer
from sesr_jax.export.describe import Description, describe, list_proofs
from sesr_jax.export.flatbuffer import read_metadata
from sesr_jax.export.golden import golden_path, replay_golden, write_golden
from sesr_jax.export.litert import KERNELS, Quantisation, TFLiteModel
from sesr_jax.export.network import (
    CALIBRATION_IMAGES,
    DEFAULT_SIZE,
    export_network,
    export_weights,
    find_calibration,
    trace_collapsed,
)
from sesr_jax.export.onnx import export_onnx
from sesr_jax.export.options import Options
from sesr_jax.export.proof import Proof, prove_collapse
from sesr_jax.export.tflite import export_tflite, to_tflite

__all__ = [
    "APP_FILE",
    "CALIBRATION_IMAGES",
    "DEFAULT_SIZE",
    "KERNELS",
    "Description",
    "Options",
    "Proof",
    "Quantisation",
    "TFLiteModel",
    "ai_benchmark_options",
    "ai_benchmark_path",
    "check_integer",
    "describe",
    "export_network",
    "export_onnx",
    "export_tflite",
    "export_weights",
    "find_calibration",
    "golden_path",
    "list_proofs",
    "prove_collapse",
    "read_metadata",
    "replay_golden",
    "to_tflite",
    "trace_collapsed",
    "write_golden",
]
