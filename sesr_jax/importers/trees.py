"""Functions that several importers use: SESR's parameters from terms, and the order of the last channels."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sesr_jax import ops
from sesr_jax.models.layers import list_shuffle_blocks
from sesr_jax.models.sesr import SESR
from sesr_jax.reparam import Conv, Sequential, Term


def conv(kernel: np.ndarray, bias: np.ndarray | None = None) -> Conv:
    """Returns a `Conv` with a kernel ``[kh, kw, in, out]``."""
    return Conv(jnp.asarray(kernel), None if bias is None else jnp.asarray(bias))


def linear_block(
    expand: np.ndarray, bias: np.ndarray | None, project: np.ndarray, project_bias: np.ndarray
) -> Sequential:
    """Returns SESR's block: a k×k convolution to the expansion, then a 1×1."""
    return Sequential((conv(expand, bias), conv(project, project_bias)))


def to_hwio(kernel: np.ndarray) -> np.ndarray:
    """Returns a kernel ``[kh, kw, in, out]`` from PyTorch's ``[out, in, kh, kw]``."""
    return kernel.transpose(2, 3, 1, 0)


def find_pixel_order(scale: int, channels: int = 1) -> np.ndarray:
    """Returns the permutation of channels from PyTorch's pixel shuffle to `models.layers.to_pixels`.

    PyTorch reads colour c of the phase in row i and column j from channel c·s² + i·s + j. A depth-to-space
    has the colours last, and two of them in a row order the phases differently.
    """
    shuffled = np.arange(channels * scale**2).reshape(1, channels, scale, scale)
    pixels = jnp.asarray(shuffled.transpose(0, 2, 3, 1))
    for block in list_shuffle_blocks(scale):
        pixels = ops.space_to_depth(pixels, block=block)
    return np.asarray(pixels).ravel()


def list_convolution_sizes(module: SESR) -> dict[str, tuple[int, int, int]]:
    """Returns kernel size, input and output channels of SESR's convolutions, by our names and in order."""
    f = module.features
    return {
        "head": (5, module.channels, f),
        **{f"block_{i}": (3, f, f) for i in range(module.blocks)},
        "tail": (5, f, module.channels * module.scale**2),
    }


def make_sesr_params(
    terms: dict[str, Term], slopes: Sequence[np.ndarray | jnp.ndarray] = ()
) -> dict[str, Any]:
    """Returns SESR's parameters; `slopes` are those of the PReLU behind each 3×3, ``[f]``."""
    return {
        **{name: {"term": term} for name, term in terms.items()},
        **{f"prelu_{i}": {"slope": jnp.asarray(slope)} for i, slope in enumerate(slopes)},
    }
