"""Weights of Vlam1r/sesr-jax, a re-implementation of SESR in Haiku.

Its .npz files hold one pickled dict of dicts, whose arrays ``params[module][parameter]`` are read without
running the pickle, under the names ``module/parameter``.

| theirs | ours |
|---|---|
| ``sesr/first5x5/conv2_d/{w, b}`` | head, the 5×5 to the expansion |
| ``sesr/first5x5/conv2_d_1/{w, b}`` | head, the 1×1 behind it |
| ``sesr/lin_i/conv2_d/{w, b}``, ``sesr/lin_i/conv2_d_1/{w, b}`` | block_i, inside the short residual |
| ``sesr/lin_i/prelu/alpha`` ``[1]`` | prelu_i, the one slope on all channels |
| ``sesr/last5x5/…`` | tail |

It adds the centred input to the output and then 0.5, which equals our residual of the uncentred input.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sesr_jax.importers.arrays import Arrays, match_arrays
from sesr_jax.importers.trees import (
    find_pixel_order,
    linear_block,
    list_convolution_sizes,
    make_sesr_params,
)
from sesr_jax.models.sesr import SESR
from sesr_jax.reparam import Identity, Sum, Term


def convert(arrays: Arrays, create: Callable[..., SESR]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the options that the file shows, and the parameters; `create` makes the module from options.

    Raises:
      Misfit: names or shapes differ from the network's.
    """
    first = arrays.get("sesr/first5x5/conv2_d/w", np.zeros((5, 5, 1, 256)))
    options = {
        "activation": "prelu",
        "input_residual": True,
        "expansion": first.shape[-1],
        "centre": 0.5,
    }
    module = create(**options)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (k, n, m) in list_convolution_sizes(module).items():
        owner, p = _to_their_name(name), module.expansion
        shapes |= {f"{owner}/conv2_d/w": (k, k, n, p), f"{owner}/conv2_d/b": (p,)}
        shapes |= {f"{owner}/conv2_d_1/w": (1, 1, p, m), f"{owner}/conv2_d_1/b": (m,)}
    slopes = [f"sesr/lin_{i}/prelu/alpha" for i in range(module.blocks)]
    values = match_arrays(arrays, shapes | dict.fromkeys(slopes, (1,)))

    terms: dict[str, Term] = {}
    for name in list_convolution_sizes(module):
        parts = [values[f"{_to_their_name(name)}/{p}"] for p in _PARTS]
        if name == "tail":
            order = find_pixel_order(module.scale)
            parts[2:] = [part[..., order] for part in parts[2:]]
        block = linear_block(*parts)
        residual = name.startswith("block_")
        terms[name] = Sum((block, Identity(module.features))) if residual else block
    return options, make_sesr_params(terms, [np.repeat(values[s], module.features) for s in slopes])


_PARTS = ("conv2_d/w", "conv2_d/b", "conv2_d_1/w", "conv2_d_1/b")


def _to_their_name(name: str) -> str:
    fixed = {"head": "sesr/first5x5", "tail": "sesr/last5x5"}
    return fixed.get(name) or name.replace("block_", "sesr/lin_")
