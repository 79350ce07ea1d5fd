"""Deployable files: TFLite with its checks and its runtime, and ONNX."""

from sesr_jax.export.checks import check_integer
from sesr_jax.export.flatbuffer import read_metadata
from sesr_jax.export.golden import golden_path, replays, write_golden
from sesr_jax.export.litert import KERNELS, Quantisation, TFLiteModel
from sesr_jax.export.network import CALIBRATION_IMAGES, deployable, export_network
from sesr_jax.export.onnx import export_onnx
from sesr_jax.export.options import Options
from sesr_jax.export.proof import Proof, prove_collapse
from sesr_jax.export.tflite import export_tflite, to_tflite

__all__ = [
    "CALIBRATION_IMAGES",
    "KERNELS",
    "Options",
    "Proof",
    "Quantisation",
    "TFLiteModel",
    "check_integer",
    "deployable",
    "export_network",
    "export_onnx",
    "export_tflite",
    "golden_path",
    "prove_collapse",
    "read_metadata",
    "replays",
    "to_tflite",
    "write_golden",
]
