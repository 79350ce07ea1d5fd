"""Upscaling photos of any size: tiles, upscalers, .tflite files."""

from sesr_jax.upscale.tflite import from_tflite
from sesr_jax.upscale.tiles import Progress, alignment, upscale_tiled
from sesr_jax.upscale.upscaler import Upscaler, bicubic, from_network, upscale_photo

__all__ = [
    "Progress",
    "Upscaler",
    "alignment",
    "bicubic",
    "from_network",
    "from_tflite",
    "upscale_photo",
    "upscale_tiled",
]
