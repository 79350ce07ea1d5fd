"""Deployable files: TFLite with its checks and its runtime, and ONNX."""

from sesr_jax.export.checks import check_int8
from sesr_jax.export.flatbuffer import read_metadata
from sesr_jax.export.litert import Quantisation, TFLiteModel
from sesr_jax.export.network import export_network
from sesr_jax.export.onnx import export_onnx
from sesr_jax.export.tflite import export_tflite, to_tflite

__all__ = [
    "Quantisation",
    "TFLiteModel",
    "check_int8",
    "export_network",
    "export_onnx",
    "export_tflite",
    "read_metadata",
    "to_tflite",
]
