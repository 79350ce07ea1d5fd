"""Weights of SESR in quic/aimet-model-zoo (PyTorch), float or collapsed for quantisation.

| theirs | ours |
|---|---|
| ``conv_first.conv_expand.weight`` ``[p, C, 5, 5]`` | head, the 5×5; it has no bias |
| ``conv_first.conv_squeeze.{weight, bias}`` | head, the 1×1 |
| ``residual_block.i.conv_{expand, squeeze}.…`` | block_i, inside the short residual |
| ``conv_last.conv_{expand, squeeze}.…`` | tail |
| ``anchor.net.{weight, bias}`` | none: the input residual; must be the fixed nearest neighbour |

A file written after their ``collapse()`` has ``conv_expand.{weight, bias}`` alone, the short residual
inside, and gives a collapsed network.

The topology differs from the paper's in points for which `SESR` has options: RGB in and out
(``channels``), no centring (``centre``), ReLU everywhere, even behind the first 5×5
(``head_activation``), and 256 channels inside every block. Their pixel shuffle orders channels
differently, so the importer permutes the channels of the last convolution.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sesr_jax.importers.arrays import Arrays, Misfit, match_arrays
from sesr_jax.importers.trees import (
    conv,
    find_pixel_order,
    linear_block,
    list_convolution_sizes,
    make_sesr_params,
    to_hwio,
)
from sesr_jax.models.sesr import SESR
from sesr_jax.reparam import Identity, Sum, Term


def convert(arrays: Arrays, create: Callable[..., SESR]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the options that the file shows, and the parameters; `create` makes the module from options.

    Raises:
      Misfit: names or shapes differ from the network's, or the anchor was trained.
    """
    first = arrays.get("conv_first.conv_expand.weight", np.zeros((256, 3, 5, 5)))
    collapsed = "conv_first.conv_expand.bias" in arrays
    options: dict[str, Any] = {
        "activation": "relu",
        "input_residual": True,
        "channels": first.shape[1],
        "centre": 0.0,
        "head_activation": True,
    }
    if not collapsed:
        options["expansion"] = first.shape[0]
    module = create(**options)
    colours, phases = module.channels, module.scale**2
    shapes: dict[str, tuple[int, ...]] = {
        "anchor.net.weight": (colours * phases, colours, 1, 1),
        "anchor.net.bias": (colours * phases,),
    }
    for name, (k, n, m) in list_convolution_sizes(module).items():
        prefix, p = _to_their_name(name), module.expansion
        if collapsed:
            shapes |= {f"{prefix}.conv_expand.weight": (m, n, k, k)}
            shapes |= {f"{prefix}.conv_expand.bias": (m,)}
        else:
            shapes |= {f"{prefix}.conv_expand.weight": (p, n, k, k)}
            shapes |= {f"{prefix}.conv_squeeze.weight": (m, p, 1, 1)}
            shapes |= {f"{prefix}.conv_squeeze.bias": (m,)}
    values = match_arrays(arrays, shapes)
    nearest = np.repeat(np.eye(colours), phases, axis=0)
    if (values["anchor.net.weight"][..., 0, 0] != nearest).any() or values["anchor.net.bias"].any():
        raise Misfit("anchor.net is trained: it must be the fixed nearest neighbour")

    terms: dict[str, Term] = {}
    for name in list_convolution_sizes(module):
        prefix = _to_their_name(name)
        kernels = [k for k in shapes if k.startswith(f"{prefix}.") and k.endswith("weight")]
        *before, last = (to_hwio(values[k]) for k in kernels)
        bias = values[kernels[-1].replace("weight", "bias")]
        if name == "tail":
            order = find_pixel_order(module.scale, colours)
            last, bias = last[..., order], bias[order]
        term: Term = linear_block(before[0], None, last, bias) if before else conv(last, bias)
        residual = name.startswith("block_") and not collapsed
        terms[name] = Sum((term, Identity(module.features))) if residual else term
    return options, make_sesr_params(terms)


def _to_their_name(name: str) -> str:
    fixed = {"head": "conv_first", "tail": "conv_last"}
    return fixed.get(name) or name.replace("block_", "residual_block.")
