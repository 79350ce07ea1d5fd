"""Perceptual losses: how far two images are for a network that was trained to recognise things.

    vgg = read_vgg("vgg19-dcbb9e9d.pth")
    loss = measure_distance(vgg, sr, hr)

The weights are torchvision's VGG19, in a file that the user names; PyTorch is not needed to read it. No such
weights ship with this package.
"""

import os
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sesr_jax.errors import InputError
from sesr_jax.importers import read_arrays

Kernels = Sequence[tuple[jax.Array, jax.Array]]
"""The kernels ``[3, 3, in, out]`` and biases of VGG19's convolutions, in their order."""

_STAGES = (2, 2, 4, 4, 4)
"""The convolutions between poolings."""

WEIGHTS = (0.1, 0.1, 1.0, 1.0, 1.0)
"""Of the last convolution of each stage, before its ReLU, as in Real-ESRGAN."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images, by which VGG19's input is normalised."""


def read_vgg(path: str | os.PathLike[str]) -> Kernels:
    """Reads the convolutions of VGG19, whatever their widths.

    Args:
      path: torchvision's state dict, as PyTorch's file or .safetensors.

    Raises:
      InputError: the file cannot be read, or holds another network.
    """
    return make_vgg(read_arrays(path), os.fspath(path))


def make_vgg(arrays: Mapping[str, np.ndarray], what: str) -> Kernels:
    """Returns the kernels from the arrays of torchvision's state dict; `what` names it in errors.

    Raises:
      InputError: they are those of another network.
    """
    kernels, channels, place = [], 3, 0
    for count in _STAGES:
        for _ in range(count):
            kernel, bias = (arrays.get(f"features.{place}.{part}") for part in ("weight", "bias"))
            if kernel is None or bias is None or kernel.shape[1:] != (channels, 3, 3):
                raise InputError(
                    f"{what} holds no VGG19 of torchvision: features.{place} must be a 3×3 convolution of "
                    f"{channels} channels."
                )
            kernels.append((jnp.asarray(kernel.transpose(2, 3, 1, 0)), jnp.asarray(bias)))
            channels, place = kernel.shape[0], place + 2  # a ReLU stands between
        place += 1  # the pooling
    return kernels


def list_maps(kernels: Kernels, images: jax.Array) -> list[jax.Array]:
    """Returns the last map of each stage before its ReLU, of images ``[N, H, W, 3]`` in [0, 1]."""
    h = (images - jnp.array(_MEAN)) / jnp.array(_DEVIATION)
    maps: list[jax.Array] = []
    rest = iter(kernels)
    for count in _STAGES:
        if maps:
            window = (1, 2, 2, 1)
            h = lax.reduce_window(jax.nn.relu(h), -jnp.inf, lax.max, window, window, "VALID")
        for i in range(count):
            kernel, bias = next(rest)
            h = jax.nn.relu(h) if i else h
            h = lax.conv_general_dilated(
                h, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            h = h + bias
        maps.append(h)
    return maps


def measure_distance(kernels: Kernels, a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the weighted sum of the mean absolute differences of the maps; `b` has no gradient."""
    theirs = list_maps(kernels, lax.stop_gradient(b))
    pairs = zip(WEIGHTS, list_maps(kernels, a), theirs, strict=True)
    return sum((w * jnp.mean(jnp.abs(x - y)) for w, x, y in pairs), jnp.zeros(()))
