"""Rewrites the depth-to-spaces of an .onnx file into the form that tpu-mlir compiles well.

ONNX knows two orders of the channels that become pixels. Our files have DCR, in which the colours of one
pixel are neighbours; PyTorch's PixelShuffle has CRD, in which the pixels of one colour are. By the
timeline of tpu-mlir 1.30.2, a block of 4 takes the BM1684X a hundredth of the time in CRD, and two blocks
of 2 take twice the time of one of 4.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sesr_jax.ops import depth_to_space

_ELEMENTWISE = {"Add", "Clip", "LeakyRelu", "Mul", "PRelu", "Relu", "Sigmoid", "Sub", "Tanh"}


def to_pixel_shuffles(model: Any) -> Any:
    """Returns an `onnx.ModelProto` whose depth-to-spaces are one of CRD each, with the same image.

    Depth-to-spaces that follow each other become one. The channels before it are put into its order in the
    kernel that makes them, through operators that work on each element. Where no such kernel is found, as
    behind a concatenation, the channels are ordered already or the depth-to-space stays as it is.
    """
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    for chain in _find_chains(graph):
        blocks = [_get_attribute(node, "blocksize") for node in chain]
        order = _order_channels(graph, chain, blocks)
        if order is None:
            continue
        in_order = np.array_equal(order, np.arange(len(order)))
        if not in_order and not _permute(graph, chain[0].input[0], order):
            continue
        last = chain[-1]
        last.input[0] = chain[0].input[0]
        del last.attribute[:]
        last.attribute.extend(
            [
                onnx.helper.make_attribute("blocksize", math.prod(blocks)),
                onnx.helper.make_attribute("mode", "CRD"),
            ]
        )
        for node in chain[:-1]:
            graph.node.remove(node)
    onnx.checker.check_model(changed, full_check=True)
    return changed


def _find_chains(graph: Any) -> list[list[Any]]:
    """Returns the depth-to-spaces of DCR, as lists of those that follow each other alone."""
    chains: list[list[Any]] = []
    for node in graph.node:
        if node.op_type != "DepthToSpace" or _get_attribute(node, "mode") != b"DCR":
            continue
        before = next((c for c in chains if c[-1].output[0] == node.input[0]), None)
        if before is not None and len(_find_readers(graph, node.input[0])) == 1:
            before.append(node)
        else:
            chains.append([node])
    return chains


def _order_channels(graph: Any, chain: Sequence[Any], blocks: Sequence[int]) -> np.ndarray | None:
    """Returns for each channel before one depth-to-space of CRD which channel before the chain it is."""
    channels = _count_channels(graph, chain[0].input[0])
    if channels is None:
        return None
    image = np.arange(channels, dtype=np.float32).reshape(1, 1, 1, channels)
    for block in blocks:
        image = np.asarray(depth_to_space(image, block=block))
    return image[0].transpose(2, 0, 1).ravel().astype(np.int64)


def _count_channels(graph: Any, tensor: str) -> int | None:
    """Returns the channels of a tensor, by the convolution behind it; None where there is none."""
    node = _find_writer(graph, tensor)
    if node is None:
        return None
    if node.op_type == "Conv":
        kernel = _find_constant(graph, node.input[1])
        return None if kernel is None else int(kernel.dims[0])
    if node.op_type not in _ELEMENTWISE:
        return None
    counts = [_count_channels(graph, name) for name in node.input]
    return max((count for count in counts if count is not None), default=None)


def _permute(graph: Any, tensor: str, order: np.ndarray) -> bool:
    """Puts the channels of a tensor into `order` in what makes it; returns whether all of it could be."""
    changes: list[Callable[[], None]] = []
    if not _plan(graph, tensor, order, changes):
        return False
    for change in changes:
        change()
    return True


def _plan(graph: Any, tensor: str, order: np.ndarray, changes: list[Callable[[], None]]) -> bool:
    """Collects the changes of constants that put the channels of `tensor` into `order`."""
    node = _find_writer(graph, tensor)
    if node is None or len(_find_readers(graph, tensor)) != 1:
        return False
    if node.op_type == "Conv":
        constants = [_find_constant(graph, name) for name in node.input[1:]]
        if None in constants or _get_attribute(node, "group", 1) != 1:
            return False
        for constant in constants:
            _plan_constant(graph, constant, 0, order, changes)
        return True
    if node.op_type not in _ELEMENTWISE:
        return False
    for name in node.input:
        constant = _find_constant(graph, name)
        if constant is not None:
            if len(constant.dims) >= 3 and constant.dims[-3] == len(order):
                _plan_constant(graph, constant, len(constant.dims) - 3, order, changes)
        elif not _is_grey(graph, name) and not _plan(graph, name, order, changes):
            return False
    return True


def _plan_constant(
    graph: Any, constant: Any, axis: int, order: np.ndarray, changes: list[Callable[[], None]]
) -> None:
    """Collects a change of a constant, which has one reader in our files."""
    import onnx

    def change() -> None:
        value = onnx.numpy_helper.to_array(constant).take(order, axis)
        constant.CopyFrom(onnx.numpy_helper.from_array(value, constant.name))

    changes.append(change)


def _is_grey(graph: Any, tensor: str) -> bool:
    """Returns whether a tensor is the image itself, of one channel, which all channels share."""
    return any(
        value.name == tensor and value.type.tensor_type.shape.dim[1].dim_value == 1
        for value in graph.input
    )


def _find_writer(graph: Any, tensor: str) -> Any | None:
    return next((node for node in graph.node if tensor in node.output), None)


def _find_readers(graph: Any, tensor: str) -> list[Any]:
    return [node for node in graph.node if tensor in node.input]


def _find_constant(graph: Any, name: str) -> Any | None:
    return next((value for value in graph.initializer if value.name == name), None)


def _get_attribute(node: Any, name: str, default: Any = None) -> Any:
    import onnx

    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default
