"""Degradations of photos, inside a compiled step: blur, resizing, noise and JPEG, twice over (Real-ESRGAN).

    low = degrade(key, high, scale=4, options=Degradation())        # [H, W, 3] to [H // 4, W // 4, 3]
    lows = jax.vmap(functools.partial(degrade, scale=4))(keys, highs)

Every image draws its own degradations from its own key. All of it is compiled: no size, no kernel and no
quality is decided in Python.
"""

from sesr_jax.data.degradation.framed import Framed, blur, frame, resize
from sesr_jax.data.degradation.jpeg import compress
from sesr_jax.data.degradation.kernels import draw_kernel, make_gaussian, make_sinc
from sesr_jax.data.degradation.noise import add_gaussian, add_poisson, find_counts
from sesr_jax.data.degradation.options import Degradation
from sesr_jax.data.degradation.pipeline import degrade, degrade_photo
from sesr_jax.data.degradation.sharpening import sharpen

__all__ = [
    "Degradation",
    "Framed",
    "add_gaussian",
    "add_poisson",
    "blur",
    "compress",
    "degrade",
    "degrade_photo",
    "draw_kernel",
    "find_counts",
    "frame",
    "make_gaussian",
    "make_sinc",
    "resize",
    "sharpen",
]
