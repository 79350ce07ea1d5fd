"""Describes a weight file in its metadata, for readers in any language that have not this package.

    facts = describe(module, variables, channels=1)

All facts are text. The file's metadata hold them beside those of `models.network.save`:

- "channels": the channels of the image, which are the same at both ends.
- "conventions": the meaning of images, kernels and operations, in English.
- "layouts": JSON, for each tensor of the file the names of its axes, as in "kh kw in out".
- "graph", where the network is collapsed: JSON, its operations in an order in which they can run,
  ``{"input": name, "output": name, "nodes": [{"name": …, "op": …, "args": […], "attrs": {…}}, …]}``. An
  argument is ``{"node": name}`` for the output of a node or the input, ``{"array": name}`` for a tensor
  of the file, or ``{"value": number}`` for a constant of any rank. Where the network was trained for INT8,
  "ranges" stands beside "nodes": for the input and for each node that is rounded to codes, the argument
  ``[low, high]`` by its name.
- "terms", where it is expanded: JSON, for each kind of term in "structure" what it holds and computes.
"""

import inspect
import json
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from sesr_jax import quant
from sesr_jax.graph import SAMPLE_SIDE, Arg, trace
from sesr_jax.reparam.packing import TERMS, pack

CONVENTIONS = (
    "Images are float32 [N, H, W, C] in [0, 1]: luma where channels is 1 (BT.601, 16/255 to 235/255), "
    "RGB where it is 3. A kernel has the axes kh, kw, in / groups, out and is correlated, not flipped; "
    'a bias comes after it. Strides and sizes are (down, right). The padding "SAME" is TensorFlow\'s: '
    "the output has ceil(size / stride) pixels, and an odd zero lies at the bottom or right; "
    "[[top, bottom], [left, right]] counts the zeros; dilation is the distance of a kernel's taps. "
    "conv2d_transpose puts stride - 1 zeros between "
    "pixels and k - 1 - floor(max(k - stride, 0) / 2) before the first, correlates with stride 1 and "
    "keeps the first size * stride pixels; with the padding VALID, k - 1 zeros and all pixels that a kernel "
    "not smaller than the stride reaches. prelu is x where x > 0 and slope * x elsewhere, a slope a "
    "channel. add and mul broadcast. concat joins channels. depth_to_space and space_to_depth have the "
    "channels in the order (row, column, channel), as TensorFlow. channel_shuffle transposes the channels, "
    "seen as a matrix of groups rows. resize has half-pixel centres, and so has resize_like, which takes the "
    "size of its second argument. average_pool does not count the zeros of SAME. A term "
    "means a map on an image that zeros extend without end: inside it nothing is padded anew. Where the "
    "graph has ranges, those tensors are rounded to multiples of (high - low) / 255 and limited to the 256 "
    "that begin with the multiple nearest low, and so is a constant that is added or multiplied, by its own "
    "extremes and 0; a kernel is rounded to multiples of its largest tap / 127 in each output channel, and "
    "the slopes of a prelu of their largest / 127. scheme tells which nodes are left out, and whether "
    "activations have 16 bits (then the step is max(-low, high) / 32767) or are float."
)

_RANGES = f"{quant.RANGES}/"
_LAYOUTS = {0: "", 1: "out", 2: "in out", 4: "kh kw in out", 5: "n kh kw in out"}
"""The axes of an array by its rank; those of other ranks are numbered."""

_OTHER_LAYOUTS = {"Basis.coefficients": "n", "Depthwise.kernel": "kh kw in multiplier"}


def describe(
    module: nn.Module, variables: Any, *, channels: int, scheme: quant.Scheme = quant.INT8
) -> dict[str, str]:
    """Returns the facts about a network.

    Args:
      module: its module.
      variables: its variables, expanded or collapsed.
      channels: the channels of the images at both ends.
      scheme: what is quantised, where the variables have ranges.
    """
    arrays, skeleton = pack(variables)
    parts = list(_walk_skeleton(skeleton))
    layouts = {
        part["array"]: _OTHER_LAYOUTS.get(place) or _name_axes(arrays[part["array"]].ndim)
        for place, part in parts
        if "array" in part
    }
    layouts |= dict.fromkeys((name for name in layouts if name.startswith(_RANGES)), "low high")
    facts = {
        "channels": str(channels),
        "conventions": CONVENTIONS,
        "layouts": json.dumps(layouts),
    }
    kinds = {part["term"] for _, part in parts if "term" in part}
    if kinds <= {"Conv"}:
        return facts | {
            "graph": json.dumps(_describe_operations(module, variables, channels, scheme))
        }
    return facts | {
        "terms": json.dumps({kind: inspect.getdoc(TERMS[kind]) for kind in sorted(kinds)})
    }


def _name_axes(rank: int) -> str:
    """Returns the names of the axes of an array, one word per axis."""
    return _LAYOUTS.get(rank, " ".join(f"axis{i}" for i in range(rank)))


def _walk_skeleton(skeleton: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yields all parts of a skeleton, each with the field that holds it, as in "Basis.kernels"."""
    yield place, skeleton
    for field, child in skeleton.get("fields", {}).items():
        yield from _walk_skeleton(child, f"{skeleton['term']}.{field}")
    for child in (*skeleton.get("dict", {}).values(), *skeleton.get("tuple", ())):
        yield from _walk_skeleton(child)


def _describe_operations(
    module: nn.Module, variables: Any, channels: int, scheme: quant.Scheme
) -> dict[str, Any]:
    """Returns the fact "graph" about a collapsed network; the module's docstring explains it."""
    variables = jax.tree.map(jnp.asarray, variables)
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    # A trace keeps the arrays themselves where it has nothing to compute.
    names = {id(x): jax.tree_util.keystr(path, simple=True, separator="/") for path, x in leaves}

    def describe_argument(arg: Arg) -> dict[str, Any]:
        if isinstance(arg, str):
            return {"node": arg}
        return {"array": names[id(arg)]} if id(arg) in names else {"value": arg.tolist()}

    graph = trace(module, variables, (1, SAMPLE_SIDE, SAMPLE_SIDE, channels))
    nodes = [
        {
            "name": n.name,
            "op": n.op,
            "args": [describe_argument(arg) for arg in n.args],
            "attrs": n.attrs,
        }
        for n in graph.nodes
    ]
    operations = {"input": graph.input, "output": graph.output, "nodes": nodes}
    if quant.RANGES not in variables:
        return operations
    found = quant.find_points(graph, scheme)
    ranges = {
        name: {"value": found.fixed[key]} if key in found.fixed else {"array": _RANGES + key}
        for name, key in found.group.items()
    }
    return operations | {"ranges": ranges}
