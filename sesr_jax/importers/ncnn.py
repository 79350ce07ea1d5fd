"""Reads Real-ESRGAN's networks from ncnn's files, a .param with the layers and a .bin with the weights.

    arrays = read_ncnn("realesr-general-x4v3.bin")      # under the names of the authors' PyTorch code

The .param is text: a magic number, the numbers of layers and blobs, and per line a layer's type and name, the
numbers and names of its inputs and outputs, and its parameters as ``key=value``; a key of -23300 - k has a
list, which begins with its length. The .bin holds the weights in the order of the layers: of a convolution a
tag of 4 bytes, the kernel ``[out, in, kh, kw]`` (fp16 and padded to 4 bytes, or fp32) and the bias (fp32); of
a PReLU the slopes (fp32). ncnn's wiki and the sources of its layers are the description.
"""

import collections
import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.untrusted import read_bytes, read_text, refuse_damaged

SUFFIXES = (".param", ".bin")

_MAGIC = "7767517"
_HALF, _SINGLE = 0x01306B47, 0
"""The tags of kernels of fp16 and fp32."""

_MOST_LAYERS = 10_000
_LIST = -23300

_FREE = ("Input", "Split")
"""The layers that compute nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layer:
    """A line of a .param; a parameter is a text, or several where it is a list."""

    kind: str
    name: str
    params: Mapping[int, tuple[str, ...]]

    def get(self, key: int, default: float = 0) -> float:
        """Returns a parameter that is one number."""
        (value,) = self.params.get(key, (str(default),))
        return float(value)


def read_ncnn(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the arrays of the network, float32, by the names that the authors' PyTorch code gives them.

    Args:
      path: the .param or the .bin, which lie beside each other under one name.

    Raises:
      InputError: one of the two is missing or damaged, or they hold another network.
    """
    param, weights = (pathlib.Path(path).with_suffix(suffix) for suffix in SUFFIXES)
    for file, other in ((param, weights), (weights, param)):
        if not file.exists() and other.exists():
            raise InputError(f"{other} has no {file.name} beside it: ncnn's files come in pairs.")
    with refuse_damaged(f"{param} tells of no SRVGGNetCompact or RRDBNet"):
        layers = _parse_layers(read_text(param))
        names = _name_layers(layers)
        shapes = [_list_shapes(layer) for layer in layers if layer.kind in _READERS]
    with refuse_damaged(f"{weights} does not hold the weights that {param.name} tells of"):
        data = memoryview(read_bytes(weights))
        arrays: dict[str, np.ndarray] = {}
        for name, parts in zip(names, shapes, strict=True):
            for part, shape in parts.items():
                tagged = part == "weight" and len(shape) == 4
                arrays[f"{name}.{part}"], data = _read_array(data, shape, tagged=tagged)
        if len(data):
            raise ValueError(f"{len(data)} bytes are left behind the last layer")
    return arrays


def _parse_layers(text: str) -> list[_Layer]:
    """Returns the layers of a .param.

    Raises:
      ValueError: the text is no .param, or has another number of layers than it says.
    """
    magic, counts, *lines = [line.strip() for line in text.splitlines() if line.strip()]
    if magic != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC}")
    if len(lines) != int(counts.split()[0]) or len(lines) > _MOST_LAYERS:
        raise ValueError(f"it has {len(lines)} layers and says {counts.split()[0]}")
    layers = []
    for line in lines:
        kind, name, inputs, outputs, *rest = line.split()
        pairs = (word.partition("=") for word in rest[int(inputs) + int(outputs) :])
        params = {
            (int(key) if int(key) > _LIST else _LIST - int(key)): tuple(value.split(","))
            for key, _, value in pairs
        }
        layers.append(_Layer(kind=kind, name=name, params=params))
    return layers


def _list_slopes(layer: _Layer) -> dict[str, tuple[int, ...]]:
    return {"weight": (int(layer.get(0)),)}


def _list_kernel(layer: _Layer) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a convolution's kernel ``[out, in, kh, kw]`` and, where it has one, its bias.

    Raises:
      ValueError: it has a stride or a dilation, or changes the size of its input.
    """
    outputs, width = int(layer.get(0)), int(layer.get(1))
    height = int(layer.get(11, width))
    inputs, rest = divmod(int(layer.get(6)), outputs * height * width)
    fixed = [
        layer.get(2, 1),
        layer.get(3, 1),
        2 * layer.get(4) + 1,
        2 * layer.get(14, layer.get(4)) + 1,
    ]
    if rest or fixed != [1, 1, width, height]:
        raise ValueError(f"{layer.name} is no convolution of stride 1 that keeps the size")
    shapes: dict[str, tuple[int, ...]] = {"weight": (outputs, inputs, height, width)}
    return shapes | {"bias": (outputs,)} if layer.get(5) else shapes


_READERS = {"Convolution": _list_kernel, "PReLU": _list_slopes}
"""The layers with weights, and the functions that give the shapes of these."""


def _list_shapes(layer: _Layer) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a layer's arrays, in their order, by their names in PyTorch."""
    shapes = _READERS[layer.kind](layer)
    if any(side < 1 for shape in shapes.values() for side in shape):
        raise ValueError(f"{layer.name} has weights of {list(shapes.values())}")
    return shapes


def _read_array(
    data: memoryview, shape: tuple[int, ...], *, tagged: bool
) -> tuple[np.ndarray, memoryview]:
    """Returns an array from the start of `data`, and the bytes behind it."""
    half, size = False, math.prod(shape)
    if tagged:
        tag, data = int.from_bytes(data[:4], "little"), data[4:]
        if tag not in (_HALF, _SINGLE):
            raise ValueError(f"a kernel has the tag 0x{tag:08x}, which is neither fp16 nor fp32")
        half = tag == _HALF
    used = size * (2 if half else 4)
    if len(data) < used:
        raise ValueError(f"it ends {used - len(data)} bytes before a layer's weights do")
    values = np.frombuffer(data[:used], "<f2" if half else "<f4").astype(np.float32).reshape(shape)
    return values, data[used + -used % 4 :]


def _name_layers(layers: Sequence[_Layer]) -> list[str]:
    """Returns the PyTorch names of the layers with weights, in their order.

    Raises:
      ValueError: the layers are those of no network that is known here.
    """
    order = "".join(layer.kind[0] for layer in layers if layer.kind in _READERS)
    found = collections.Counter(token for layer in layers for token in _describe_layer(layer))
    if re.fullmatch("CP(CP)+C", order):
        names = [f"body.{i}" for i in range(len(order))]
        factor = max((int(token.split()[-1]) for token in found if "shuffle" in token), default=0)
        wanted = {f"pixel shuffle {factor}": 1, f"nearest resize {factor}": 1, "sum": 1}
    elif re.fullmatch("C+", order) and len(order) > 6 and len(order) % 15 == 6:
        blocks = range(len(order) // 15)
        parts = [f"rdb{part}.conv{conv}" for part in (1, 2, 3) for conv in range(1, 6)]
        names = ["conv_first", *(f"body.{i}.{part}" for i in blocks for part in parts)]
        names += ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
        count = len(blocks)
        wanted = {"concat": 12 * count, "sum": 4 * count + 1, "product with 0.2": 4 * count}
        wanted |= {"leaky ReLU 0.2": 12 * count + 3, "nearest resize 2": 2}
    else:
        raise ValueError(
            f"its {len(order)} layers with weights are neither SRVGGNetCompact's nor RRDBNet's"
        )
    if found != wanted:
        tokens = sorted(found | wanted)
        odd = [
            f"{found[token]} × {token}, not {wanted.get(token, 0)}"
            for token in tokens
            if found[token] != wanted.get(token, 0)
        ]
        raise ValueError(f"it has {', '.join(odd[:3])}")
    return names


def _describe_layer(layer: _Layer) -> list[str]:
    """Returns what a layer computes beside its weights, such as "sum", "concat" or "nearest resize 2"."""
    match layer.kind:
        case "Convolution" if layer.get(9):
            (slope,) = layer.params.get(10, ("1", "0"))[1:2]
            return [f"leaky ReLU {float(slope):g}" if layer.get(9) == 2 else "activation"]
        case "Convolution" | "PReLU":
            return []
        case "ReLU":
            return [f"leaky ReLU {layer.get(0):g}"]
        case "Eltwise" if layer.get(0) == 1:
            weights = [float(value) for value in layer.params.get(1, ())[1:]]
            return ["sum", *(f"product with {value:g}" for value in weights if value != 1)]
        case "BinaryOp" if layer.get(0) == 0 and not layer.get(1):
            return ["sum"]
        case "BinaryOp" if layer.get(0) == 2 and layer.get(1):
            return [f"product with {layer.get(2):g}"]
        case "Concat":
            return ["concat"]
        case "PixelShuffle":
            return [f"pixel shuffle {layer.get(0):g}"]
        case "Interp":
            mode = {1: "nearest", 2: "bilinear", 3: "bicubic"}.get(int(layer.get(0)), "unknown")
            same = layer.get(1, 1) == layer.get(2, 1)
            return [f"{mode} resize {layer.get(1, 1):g}" if same else "resize of two factors"]
        case kind if kind in _FREE:
            return []
        case kind:
            return [kind]
