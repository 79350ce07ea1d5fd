"""Upscaling photos of any size, and videos: tiles, upscalers, .tflite and .onnx files."""

from sesr_jax.upscale.assumed import (
    TilingError,
    choose_halo,
    measure_tiling_error,
    with_assumed_halo,
)
from sesr_jax.upscale.batch import (
    Outcome,
    TileChoice,
    upscale_file,
    upscale_folder,
)
from sesr_jax.upscale.denoise import load_denoiser
from sesr_jax.upscale.drop import check_drop, measure_drop
from sesr_jax.upscale.images import match_images, upscale_image
from sesr_jax.upscale.load import is_exported, is_network, load_upscaler
from sesr_jax.upscale.onnx_upscaler import from_onnx
from sesr_jax.upscale.runtimes import Runtime, choose_upscaler
from sesr_jax.upscale.tflite_upscaler import from_tflite
from sesr_jax.upscale.tiles import Progress, upscale_tiled
from sesr_jax.upscale.upscaled_file import UpscaledFile
from sesr_jax.upscale.upscaler import (
    Tile,
    Upscaler,
    bicubic_upscaler,
    find_photo_halo,
    from_network,
    in_domain,
    upscale_luma,
    upscale_photo,
)
from sesr_jax.upscale.video import VIDEO_FORMATS, find_video_codec, upscale_video

__all__ = [
    "VIDEO_FORMATS",
    "Outcome",
    "Progress",
    "Runtime",
    "Tile",
    "TileChoice",
    "TilingError",
    "UpscaledFile",
    "Upscaler",
    "bicubic_upscaler",
    "check_drop",
    "choose_halo",
    "choose_upscaler",
    "find_photo_halo",
    "find_video_codec",
    "from_network",
    "from_onnx",
    "from_tflite",
    "in_domain",
    "is_exported",
    "is_network",
    "load_denoiser",
    "load_upscaler",
    "match_images",
    "measure_drop",
    "measure_tiling_error",
    "upscale_file",
    "upscale_folder",
    "upscale_image",
    "upscale_luma",
    "upscale_photo",
    "upscale_tiled",
    "upscale_video",
    "with_assumed_halo",
]
