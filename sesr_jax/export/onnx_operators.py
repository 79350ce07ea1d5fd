"""The ONNX operators that compute a Graph's nodes.

Tensors are ``[N, C, H, W]`` in the file, of any height and width: the file computes what depends on the size.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sesr_jax.errors import InputError
from sesr_jax.graph import Arg, Node
from sesr_jax.ops import Padding

_NCHW = (0, 3, 1, 2)


Args: TypeAlias = Mapping[str, str | np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Computed:
    """A value that an operator computes for a setting, such as a size.

    Attributes:
      op_type: the operator's name, e.g. "Shape".
      args: its inputs: names of tensors of the Graph, other such values, or constants.
      attrs: its attributes.
    """

    op_type: str
    args: Sequence["str | Computed | npt.ArrayLike"]
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)


Setting: TypeAlias = npt.ArrayLike | Computed | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """One ONNX operator.

    Attributes:
      op_type: its name, e.g. "Conv".
      args: its inputs by role: names of tensors of the Graph, and parameters in ONNX's layout.
      settings: further inputs, which are never quantised; None stands for an optional one that is absent.
      typed: the settings that must have the type of the activations; the others keep their own.
      attrs: its attributes.
      channel_axis: the axis of the output channels in the argument "kernel".
    """

    op_type: str
    args: Args
    settings: Mapping[str, Setting] = dataclasses.field(default_factory=dict)
    typed: frozenset[str] = frozenset()
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    channel_axis: int = 0


def _conv2d(node: Node) -> Call:
    kernel, *bias = map(_to_float32, node.parameters)
    strides, dilation = node.attrs["strides"], node.attrs["dilation"]
    return Call(
        op_type="Conv",
        args=_with_kernel(node, kernel.transpose(3, 2, 0, 1), bias),
        attrs={
            "strides": strides,
            "group": node.attrs["groups"],
            **({"dilations": dilation} if dilation != (1, 1) else {}),
            **_write_padding(node.attrs["padding"], _measure_span(kernel, dilation), strides),
        },
    )


def _conv2d_transpose(node: Node) -> Call:
    """Returns ONNX's form, the gradient of a convolution: mirrored taps, and pads that crop the output."""
    kernel, *bias = map(_to_float32, node.parameters)
    strides = node.attrs["strides"]
    extra = [size - stride for size, stride in zip(kernel.shape[:2], strides, strict=True)]
    surplus = [max(n, 0) if node.attrs["padding"] == "SAME" else 0 for n in extra]
    begin = [n // 2 for n in surplus]
    end = [n - cut for n, cut in zip(surplus, begin, strict=True)]
    return Call(
        op_type="ConvTranspose",
        args=_with_kernel(node, kernel[::-1, ::-1].transpose(2, 3, 0, 1), bias),
        attrs={
            "kernel_shape": kernel.shape[:2],  # optional, but some compilers want it
            "strides": strides,
            "pads": [*begin, *end],
            "output_padding": [max(-n, 0) for n in extra],
        },
        channel_axis=1,
    )


def _with_kernel(node: Node, kernel: np.ndarray, bias: Sequence[np.ndarray]) -> Args:
    (x,) = node.inputs
    return {"x": x, "kernel": kernel} | ({"bias": bias[0]} if bias else {})


def _measure_span(kernel: np.ndarray, dilation: Sequence[int]) -> list[int]:
    """Returns the rows and columns that a kernel spans."""
    return [(n - 1) * apart + 1 for n, apart in zip(kernel.shape[:2], dilation, strict=True)]


def _write_padding(
    padding: Padding, window: Sequence[int], strides: Sequence[int]
) -> dict[str, Any]:
    """Returns the attributes for a padding of `ops`."""
    if padding == "VALID":
        return {}
    if padding == "SAME":
        if tuple(strides) != (1, 1):
            return {"auto_pad": "SAME_UPPER"}  # depends on the image's size
        return {"pads": [(n - 1) // 2 for n in window] + [n // 2 for n in window]}
    (top, bottom), (left, right) = padding
    return {"pads": [top, left, bottom, right]}


def _prelu(node: Node) -> Call:
    (x,), (slope,) = node.inputs, node.parameters
    return Call(op_type="PRelu", args={"x": x, "slope": _to_float32(slope).reshape(-1, 1, 1)})


def _clip(node: Node) -> Call:
    bounds = {"low": np.float32(node.attrs["low"]), "high": np.float32(node.attrs["high"])}
    return dataclasses.replace(_call("Clip", node, settings=bounds), typed=frozenset(bounds))


def _slice(node: Node) -> Call:
    begin, size = (np.asarray(node.attrs[key], np.int64)[list(_NCHW)] for key in ("begin", "size"))
    from_end = np.where(size == -1, np.iinfo(np.int64).max, size + 1)
    end = np.where(size < 0, from_end, begin + size)
    return _call("Slice", node, settings={"begin": begin, "end": end})


def _resize(node: Node) -> Call:
    scale = node.attrs["scale"]
    mode = {"nearest": "nearest", "bilinear": "linear"}[node.attrs["method"]]
    factors = np.array([1, 1, scale, scale], np.float32)
    return _call(
        "Resize",
        node,
        settings={"roi": None, "scales": factors},
        mode=mode,
        coordinate_transformation_mode="half_pixel",
    )


def _resize_like(node: Node) -> Call:
    x, like = node.inputs
    sizes = Computed(
        op_type="Concat",
        args=(
            Computed(op_type="Shape", args=(x,), attrs={"end": 2}),
            Computed(op_type="Shape", args=(like,), attrs={"start": 2}),
        ),
        attrs={"axis": 0},
    )
    nearest = node.attrs["method"] == "nearest"
    return Call(
        op_type="Resize",
        args={"x": x},
        settings={"roi": None, "scales": None, "sizes": sizes},
        attrs={"mode": "nearest" if nearest else "linear"}
        | {"coordinate_transformation_mode": "half_pixel"}
        | ({"nearest_mode": "round_prefer_ceil"} if nearest else {}),
    )


def _pad(node: Node) -> Call:
    (top, bottom), (left, right) = node.attrs["padding"]
    mode = node.attrs["mode"]
    if mode == "symmetric":
        if max(top, bottom, left, right) > 1:
            raise InputError(
                f"{node.name!r} pads {node.attrs['padding']} symmetrically, which ONNX does for no more than "
                "one pixel on a side."
            )
        mode = "edge"
    pads = np.array([0, 0, top, left, 0, 0, bottom, right])
    return _call("Pad", node, settings={"pads": pads}, mode=mode)


def _unbias(node: Node) -> Call:
    """Returns the product with n / (n - 1), where the file computes n from the image's size, in float32."""
    x, like = node.inputs
    axes = np.array([_NCHW.index(axis % 4) for axis in node.attrs["axes"]])
    one = np.float32(1)
    sizes = Computed(op_type="Gather", args=(Computed(op_type="Shape", args=(like,)), axes))
    count = Computed(
        op_type="Cast",
        args=(Computed(op_type="ReduceProd", args=(sizes,), attrs={"keepdims": 0}),),
        attrs={"to": 1},  # float32
    )
    fewer = Computed(op_type="Sub", args=(count, one))
    factor = Computed(op_type="Div", args=(count, fewer))
    typed = frozenset({"factor"})
    return Call(op_type="Mul", args={"x": x}, settings={"factor": factor}, typed=typed)


def _channel_shuffle(node: Node) -> Call:
    """Returns a Gather of channels, since a Reshape would need the image's size."""
    channels = np.arange(node.shape[-1]).reshape(node.attrs["groups"], -1).T.ravel()
    return _call("Gather", node, settings={"channels": channels}, axis=1)


def _pool(op_type: str, node: Node) -> Call:
    window, strides = node.attrs["window"], node.attrs["strides"]
    padding = _write_padding(node.attrs["padding"], window, strides)
    return _call(op_type, node, kernel_shape=window, strides=strides, **padding)


def _mean(node: Node) -> Call:
    return _call("ReduceMean", node, axes=[_NCHW.index(axis % 4) for axis in node.attrs["axes"]])


def _call(
    op_type: str, node: Node, settings: Mapping[str, Any] | None = None, **attrs: Any
) -> Call:
    """Returns the operator `op_type` on the tensors and constants of `node` as they are."""
    args = {
        str(i): arg if isinstance(arg, str) else _to_channels_first(_to_float32(arg))
        for i, arg in enumerate(node.args)
    }
    return Call(op_type=op_type, args=args, settings=settings or {}, attrs=attrs)


def _to_channels_first(value: np.ndarray) -> np.ndarray:
    """Reshapes a constant that broadcasts against ``[N, H, W, C]`` to one for ``[N, C, H, W]``."""
    if not value.ndim:
        return value
    return value.reshape((1,) * (4 - value.ndim) + value.shape).transpose(_NCHW)


def _to_float32(value: Arg) -> np.ndarray:
    return np.asarray(value, np.float32)


CALLS: dict[str, Callable[[Node], Call]] = {
    "add": functools.partial(_call, "Add"),
    "average_pool": functools.partial(_pool, "AveragePool"),
    "channel_shuffle": _channel_shuffle,
    "clip": _clip,
    "concat": lambda node: _call("Concat", node, axis=1),
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "depth_to_space": lambda node: _call(
        "DepthToSpace", node, blocksize=node.attrs["block"], mode="DCR"
    ),
    "div": functools.partial(_call, "Div"),
    "exp": functools.partial(_call, "Exp"),
    "leaky_relu": lambda node: _call("LeakyRelu", node, alpha=node.attrs["slope"]),
    "max_pool": functools.partial(_pool, "MaxPool"),
    "mean": _mean,
    "mul": functools.partial(_call, "Mul"),
    "pad": _pad,
    "prelu": _prelu,
    "relu": functools.partial(_call, "Relu"),
    "resize": _resize,
    "resize_like": _resize_like,
    "sigmoid": functools.partial(_call, "Sigmoid"),
    "slice": _slice,
    "softmax": lambda node: _call("Softmax", node, axis=1),
    "space_to_depth": lambda node: _call("SpaceToDepth", node, blocksize=node.attrs["block"]),
    "sqrt": functools.partial(_call, "Sqrt"),
    "sub": functools.partial(_call, "Sub"),
    "tanh": functools.partial(_call, "Tanh"),
    "unbias": _unbias,
}
"""For each operation, the function that returns the ONNX operator of a node."""
