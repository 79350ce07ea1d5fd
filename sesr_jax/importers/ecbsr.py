"""Weights of xindongzhang/ECBSR (PyTorch).

Their M + 2 convolutions are, by the number n, our head, block_0, … and tail:

| theirs, behind ``backbone.n.`` | ours: the branches of a sum, each exact at the border |
|---|---|
| ``conv3x3.{weight, bias}`` | 3×3 |
| ``conv1x1_3x3.{k0, b0, k1, b1}`` | 1×1 to 2C, then 3×3 |
| ``conv1x1_{sbx, sby, lpl}.{k0, b0}`` | 1×1, before … |
| ``conv1x1_{sbx, sby, lpl}.mask`` | … Sobel x, Sobel y or Laplace; must be that filter … |
| ``conv1x1_{sbx, sby, lpl}.{scale, bias}`` | … and one factor and one bias per channel |
| ``act.weight`` | head_prelu, block_i_prelu; none where the network has ReLU |

The identity branch of a block has no variable: give the option ``residual=True`` where the network was
trained with it. Their pixel shuffle orders channels differently, so the importer permutes the channels of
the last convolution.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from sesr_jax.importers.arrays import Arrays, Misfit, match_arrays
from sesr_jax.importers.trees import conv, find_pixel_order, to_hwio
from sesr_jax.models.ecbsr import ECBSR
from sesr_jax.reparam import (
    Identity,
    Scale,
    Select,
    Sequential,
    Sum,
    Term,
    laplacian,
    sobel_x,
    sobel_y,
)

_EDGES = {"conv1x1_sbx": sobel_x, "conv1x1_sby": sobel_y, "conv1x1_lpl": laplacian}


def convert(arrays: Arrays, create: Callable[..., ECBSR]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the options that the file shows, and the parameters; `create` makes the module from options.

    Raises:
      Misfit: names or shapes differ from the network's, or a mask does.
    """
    prelu = any(name.endswith(".act.weight") for name in arrays)
    options = {"activation": "prelu" if prelu else "relu"}
    module = create(**options)
    f, phases = module.features, module.scale**2
    names = ["head", *(f"block_{i}" for i in range(module.blocks)), "tail"]
    channels = [(1, f), *[(f, f)] * module.blocks, (f, phases)]
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (n, m) in enumerate(channels):
        block = _list_block_shapes(n, m) | (
            {"act.weight": (m,)} if prelu and names[i] != "tail" else {}
        )
        shapes |= {f"backbone.{i}.{name}": shape for name, shape in block.items()}
    values = match_arrays(arrays, shapes)

    params: dict[str, Any] = {}
    for i, name in enumerate(names):
        prefix = f"backbone.{i}."
        own = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
        order = find_pixel_order(module.scale) if name == "tail" else np.arange(channels[i][1])
        branches = _make_branches(own, order)
        n, m = channels[i]
        if module.residual and n == m:
            branches += (Identity(f) if name != "tail" else Select(tuple(order.tolist()), f),)
        params[name] = {"term": Sum(branches)}
        if "act.weight" in own:
            params[f"{name}_prelu"] = {"slope": jnp.asarray(own["act.weight"])}
    return options, params


def _list_block_shapes(n: int, m: int) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the variables of a block from `n` to `m` channels, by name."""
    shapes: dict[str, tuple[int, ...]] = {
        "conv3x3.weight": (m, n, 3, 3),
        "conv3x3.bias": (m,),
        "conv1x1_3x3.k0": (2 * m, n, 1, 1),
        "conv1x1_3x3.b0": (2 * m,),
        "conv1x1_3x3.k1": (m, 2 * m, 3, 3),
        "conv1x1_3x3.b1": (m,),
    }
    for edge in _EDGES:
        shapes |= {f"{edge}.k0": (m, n, 1, 1), f"{edge}.b0": (m,)}
        shapes |= {f"{edge}.scale": (m, 1, 1, 1), f"{edge}.mask": (m, 1, 3, 3)}
        shapes |= {f"{edge}.bias": (m,)}
    return shapes


def _make_branches(own: dict[str, np.ndarray], order: np.ndarray) -> tuple[Term, ...]:
    """Returns the terms of a block, with its output channels permuted to `order`."""
    wide = conv(to_hwio(own["conv3x3.weight"])[..., order], own["conv3x3.bias"][order])
    deep = Sequential(
        (
            conv(to_hwio(own["conv1x1_3x3.k0"]), own["conv1x1_3x3.b0"]),
            conv(to_hwio(own["conv1x1_3x3.k1"])[..., order], own["conv1x1_3x3.b1"][order]),
        )
    )
    return (wide, deep, *(_make_edge(own, edge, order) for edge in _EDGES))


def _make_edge(own: dict[str, np.ndarray], edge: str, order: np.ndarray) -> Sequential:
    """Returns the term of a branch with a fixed filter.

    Raises:
      Misfit: its filter is another one.
    """
    taps = _EDGES[edge](len(order))
    mask = own[f"{edge}.mask"][:, 0].transpose(1, 2, 0)
    if (mask != np.asarray(taps.taps)).any():
        raise Misfit(f"{edge}.mask differs: it must be the fixed filter of that branch")
    scale, bias = (jnp.asarray(own[f"{edge}.{v}"].ravel()[order]) for v in ("scale", "bias"))
    point = conv(to_hwio(own[f"{edge}.k0"])[..., order], own[f"{edge}.b0"][order])
    return Sequential((point, taps, Scale(scale, bias)))
