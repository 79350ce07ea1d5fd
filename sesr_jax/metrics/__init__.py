"""PSNR, SSIM and NIQE, the protocols under which images are compared, and the evaluator."""

from sesr_jax.metrics.evaluate import (
    NetworkEvaluator,
    UpscaleFunction,
    bicubic,
    drop,
    evaluate,
    mean,
)
from sesr_jax.metrics.niqe import NiqeModel, niqe, read_niqe_model
from sesr_jax.metrics.protocol import (
    DEGRADED,
    MOBILE_AI,
    PROTOCOLS,
    RGB,
    RGB8,
    Protocol,
    Y,
    choose_protocol,
    find_protocol,
)
from sesr_jax.metrics.quality import psnr, ssim

__all__ = [
    "DEGRADED",
    "MOBILE_AI",
    "PROTOCOLS",
    "RGB",
    "RGB8",
    "NetworkEvaluator",
    "NiqeModel",
    "Protocol",
    "UpscaleFunction",
    "Y",
    "bicubic",
    "choose_protocol",
    "drop",
    "evaluate",
    "find_protocol",
    "mean",
    "niqe",
    "psnr",
    "read_niqe_model",
    "ssim",
]
