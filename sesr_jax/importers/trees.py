"""What the importers share: SESR's variables from terms, and the order of channels before the pixels."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from sesr_jax import ops
from sesr_jax.models.layers import shuffle_blocks
from sesr_jax.models.sesr import SESR
from sesr_jax.reparam import Conv, Sequential, Term


def conv(kernel: np.ndarray, bias: np.ndarray | None = None) -> Conv:
    """A `Conv` of a kernel ``[kh, kw, in, out]``."""
    return Conv(jnp.asarray(kernel), None if bias is None else jnp.asarray(bias))


def linear_block(
    expand: np.ndarray, bias: np.ndarray | None, project: np.ndarray, project_bias: np.ndarray
) -> Sequential:
    """SESR's block: k×k to the expansion, then 1×1."""
    return Sequential((conv(expand, bias), conv(project, project_bias)))


def to_hwio(kernel: np.ndarray) -> np.ndarray:
    """From PyTorch's ``[out, in, kh, kw]``."""
    return kernel.transpose(2, 3, 1, 0)


def find_pixel_order(scale: int, channels: int = 1) -> np.ndarray:
    """Which channel of one pixel shuffle lies where `models.layers.to_pixels` looks for it.

    A pixel shuffle reads colour c of the phase in row i and column j from channel c·s² + i·s + j, as
    PyTorch does; depth-to-space has the colours last, and two of them in turn another order of phases.
    """
    shuffled = np.arange(channels * scale**2).reshape(1, channels, scale, scale)
    pixels = jnp.asarray(shuffled.transpose(0, 2, 3, 1))
    for block in shuffle_blocks(scale):
        pixels = ops.space_to_depth(pixels, block=block)
    return np.asarray(pixels).ravel()


def convolution_sizes(module: SESR) -> dict[str, tuple[int, int, int]]:
    """Kernel size, input and output channels of SESR's convolutions, by our name and in order."""
    f = module.features
    return {
        "head": (5, module.channels, f),
        **{f"block_{i}": (3, f, f) for i in range(module.blocks)},
        "tail": (5, f, module.channels * module.scale**2),
    }


def sesr_params(
    terms: dict[str, Term], slopes: Sequence[np.ndarray | jnp.ndarray] = ()
) -> dict[str, Any]:
    """SESR's parameters; `slopes` are those of the PReLU behind each 3×3, ``[f]``."""
    return {
        **{name: {"term": term} for name, term in terms.items()},
        **{f"prelu_{i}": {"slope": jnp.asarray(slope)} for i, slope in enumerate(slopes)},
    }
