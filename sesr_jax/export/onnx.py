"""ONNX files from a Graph, float or INT8 in QDQ form.

    export_onnx(graph, "sesr_m5_x2.onnx", ranges=calibrate(graph, images))

Tensors are ``[N, C, H, W]`` within the file and at its ends, as ONNX has it: the input is the float
image in [0, 1], and so is the output. N, H and W are symbolic: a file runs at every size at which
`graph.run` does. Nodes and tensors are named as in the Graph.

An INT8 file is a float network with a QuantizeLinear and a DequantizeLinear at each quantisation point
(`quant.points`), which runtimes fuse into integer kernels. There the value before the point is
``name/float``, its codes are ``name/codes``, and what others read is ``name`` (for the input, whose
float value has its name, ``name/dequantised``). Kernels have symmetric int8 codes with a scale for each
output channel, biases the int32 codes of their convolution's sums, PReLU slopes symmetric int8 codes
and other constants the codes of their own range, all as in our TFLite files.

Limits: one input, one output; activations of 16 bits would need a later operator set. ONNX Runtime
quantises the float kernel of an excluded convolution between two points on its own account, unless its
optimiser "WeightBiasQuantization" is disabled.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sesr_jax import __version__
from sesr_jax.errors import InputError, require_extra
from sesr_jax.export.checks import check_graph
from sesr_jax.files import replace_file
from sesr_jax.graph import Arg, Graph, Node
from sesr_jax.ops import Padding
from sesr_jax.quant import INT8, Ranges, Scheme, affine, points, validate

OPSET = 17
"""ONNX's operator set of the files. It has all that we need; fewer tools read a later one."""

_NCHW = (0, 3, 1, 2)
_LARGEST_BIAS = 2**30  # in codes; TFLite's converter has the same


Args: TypeAlias = Mapping[str, str | np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Computed:
    """A value that an operator computes for a setting, such as a size.

    Attributes:
      op_type: the operator's name, e.g. "Shape".
      args: its inputs: tensors of the Graph by name, such values again, or constants.
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
      args: its inputs by what they are: tensors of the Graph by name, and parameters laid out for ONNX.
      settings: further inputs, never quantised; None where an optional one is absent.
      attrs: its attributes.
      channel_axis: of the output channels in the argument "kernel".
    """

    op_type: str
    args: Args
    settings: Mapping[str, Setting] = dataclasses.field(default_factory=dict)
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    channel_axis: int = 0


def export_onnx(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    ranges: Ranges | None = None,
    scheme: Scheme = INT8,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes `graph` as an ONNX file; see `to_onnx`.

    Args:
      graph: the network; the file takes images of other sizes too.
      path: of the file; it appears whole or not at all.
      ranges: by group of tensors, or None for float activations.
      scheme: what is quantised where there are ranges; with float activations, the kernels alone.
      metadata: what a reader of the bare file should know. It stands in ``metadata_props``, text as it
        is and all else as JSON, beside "version" (of this package) and "ranges".

    Raises:
      InputError: as `to_onnx`, or the file cannot be written.
    """
    model = to_onnx(graph, ranges=ranges, scheme=scheme)
    facts = {"version": __version__} | dict(metadata or {})
    if ranges is not None:
        facts["ranges"] = {key: [float(low), float(high)] for key, (low, high) in ranges.items()}
    for key, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=key, value=text)
    with replace_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def to_onnx(graph: Graph, *, ranges: Ranges | None = None, scheme: Scheme = INT8) -> Any:
    """The `onnx.ModelProto` of `graph`: by `scheme` where there are ranges, and float where there are none.

    A scheme of float activations needs none: then the kernels alone have codes.

    Raises:
      InputError: an op has no ONNX form here, a parameter is not finite, `ranges` do not suit the
        graph, activations have 16 bits, or the package onnx is not installed.
    """
    weights_alone = scheme.activations == "float"
    if scheme.activations == "int16":
        raise InputError(
            f"ONNX files of operator set {OPSET} have no int16 activations; export int8, or to .tflite."
        )
    check_graph(graph, CALLS, "ONNX")
    if ranges is not None:
        validate(graph, ranges, scheme)
    with require_extra("export", "writing ONNX files"):
        import onnx

    writer = _Writer(graph, ranges or {}, scheme if weights_alone or ranges is not None else None)
    tensor, float32 = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    channels, out_channels = graph.input_shape[-1], graph.shapes[graph.output][-1]
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            writer.nodes,
            "sesr_jax",
            [tensor(graph.input, float32, ["N", channels, "H", "W"])],
            [tensor(graph.output, float32, ["N", out_channels, "H_out", "W_out"])],
            writer.constants,
        ),
        opset_imports=opsets,
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="sesr_jax",
        producer_version=__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class _Writer:
    """The operators and constants of a file.

    Attributes:
      nodes: `onnx.NodeProto`s in an order in which they can run.
      constants: `onnx.TensorProto`s, the initializers.
    """

    def __init__(self, graph: Graph, ranges: Ranges, scheme: Scheme | None) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._scheme = scheme
        self._affine: dict[str, tuple[float, int]] = {}
        self._absorbed: frozenset[str] = frozenset()
        if scheme is not None:
            found = points(graph, scheme)
            self._affine = {name: affine(*ranges[key]) for name, key in found.group.items()}
            self._absorbed = found.absorbed
        # By tensor of the Graph, what its readers read in the file.
        self._names = {name: name for name in graph.shapes}
        if graph.input in self._affine:
            self._names[graph.input] = f"{graph.input}/dequantised"
            self._point(graph.input, graph.input)
        for node in graph.nodes:
            self._write(node)

    def _write(self, node: Node) -> None:
        """Adds `node`, with its quantisation point where it has one."""
        if node.name in self._absorbed:
            self._point(node.name, self._names[node.inputs[0]])
            return
        call = CALLS[node.op](node)
        inputs = [
            self._names[arg] if isinstance(arg, str) else self._parameter(node, call, role, arg)
            for role, arg in call.args.items()
        ]
        inputs += [
            self._setting(f"{node.name}/{role}", value) for role, value in call.settings.items()
        ]
        quantised = node.name in self._affine
        output = f"{node.name}/float" if quantised else node.name
        self._add(node.name, call.op_type, inputs, output, **call.attrs)
        if quantised:
            self._point(node.name, output)

    def _point(self, name: str, value: str) -> None:
        """Quantises the file's tensor `value` to the codes of the Graph's tensor `name`, and back."""
        scale, zero_point = self._affine[name]
        meaning = self._meaning(name, np.float32(scale), np.int8(zero_point))
        self._add(f"{name}/quantise", "QuantizeLinear", [value, *meaning], f"{name}/codes")
        self._dequantise(name, meaning, self._names[name])

    def _parameter(self, node: Node, call: Call, role: str, value: np.ndarray) -> str:
        """The tensor that holds a parameter, by way of its codes if it is quantised."""
        name = f"{node.name}/{role}"
        input_scale, _ = self._affine.get(node.inputs[0], (0.0, 0))
        exact = self._scheme is None or self._scheme.excludes(node.name)
        if exact or (role == "bias" and not input_scale) or (role != "kernel" and not self._affine):
            return self._constant(name, value)
        codes, scale, zero_point = _quantised(call, role, input_scale)
        self._constant(f"{name}/codes", codes)
        meaning = self._meaning(name, scale, zero_point)
        axis = {"axis": call.channel_axis if role == "kernel" else 0} if scale.ndim else {}
        self._dequantise(name, meaning, name, **axis)
        return name

    def _meaning(self, name: str, scale: npt.ArrayLike, zero_point: npt.ArrayLike) -> list[str]:
        """The constants that say what the codes of `name` stand for."""
        return [
            self._constant(f"{name}/scale", scale),
            self._constant(f"{name}/zero_point", zero_point),
        ]

    def _dequantise(self, name: str, meaning: list[str], output: str, **attrs: Any) -> None:
        inputs = [f"{name}/codes", *meaning]
        self._add(f"{name}/dequantise", "DequantizeLinear", inputs, output, **attrs)

    def _setting(self, name: str, value: Setting) -> str:
        if value is None:
            return ""
        if not isinstance(value, Computed):
            return self._constant(name, value)
        inputs = [
            self._names[arg] if isinstance(arg, str) else self._setting(f"{name}/{i}", arg)
            for i, arg in enumerate(value.args)
        ]
        self._add(name, value.op_type, inputs, name, **value.attrs)
        return name

    def _constant(self, name: str, value: npt.ArrayLike) -> str:
        import onnx

        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def _add(self, name: str, op_type: str, inputs: list[str], output: str, **attrs: Any) -> None:
        import onnx

        self.nodes.append(onnx.helper.make_node(op_type, inputs, [output], name, **attrs))


def _quantised(
    call: Call, role: str, input_scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The codes of the parameter `role`, their scale and their zero point: one, or one a channel.

    `input_scale` is that of the input's codes, and 0 where it has none.
    """
    value = np.asarray(call.args[role], np.float64)
    dtype: type[np.signedinteger] = np.int8
    zero_point = 0
    if role in ("kernel", "bias"):
        scale = _kernel_scale(call, input_scale)
        if role == "bias":
            dtype, scale = np.int32, scale * np.float32(input_scale)
    elif role == "slope":
        scale = np.asarray(np.abs(value).max() / 127 or 1, np.float32)
    else:
        low, high = min(value.min(), 0.0), max(value.max(), 0.0)
        step, zero_point = affine(low, high) if low < high else (1.0, 0)
        scale = np.asarray(step, np.float32)
    per_channel = [-1 if i == call.channel_axis else 1 for i in range(value.ndim)]
    steps = scale.reshape(per_channel) if role == "kernel" else scale
    codes = np.rint(value / steps) + zero_point
    return codes.astype(dtype), scale, np.full(scale.shape, zero_point, dtype)


def _kernel_scale(call: Call, input_scale: float) -> np.ndarray:
    """The scale of a kernel's codes, float32 ``[out]``: its largest tap is 127.

    Where a channel's taps are next to nothing, its bias decides: the codes of a bias have the scales of
    the kernel and of the input multiplied, and must leave the sums room in 32 bits.
    """
    kernel, bias = call.args["kernel"], call.args.get("bias", 0.0)
    taps = np.moveaxis(np.asarray(kernel), call.channel_axis, -1)
    scale = np.abs(taps).max(axis=(0, 1, 2)) / np.float64(127)
    if input_scale:
        scale = np.maximum(scale, np.abs(bias) / (input_scale * _LARGEST_BIAS))
    return np.where(scale > 0, scale, 1).astype(np.float32)


def _conv2d(node: Node) -> Call:
    kernel, *bias = map(_array, node.parameters)
    strides, dilation = node.attrs["strides"], node.attrs["dilation"]
    return Call(
        op_type="Conv",
        args=_with_kernel(node, kernel.transpose(3, 2, 0, 1), bias),
        attrs={
            "strides": strides,
            "group": node.attrs["groups"],
            **({"dilations": dilation} if dilation != (1, 1) else {}),
            **_padding(node.attrs["padding"], _extent(kernel, dilation), strides),
        },
    )


def _conv2d_transpose(node: Node) -> Call:
    """ONNX's is the gradient of a convolution: the taps mirrored, and what is too much cut off."""
    kernel, *bias = map(_array, node.parameters)
    strides = node.attrs["strides"]
    extra = [size - stride for size, stride in zip(kernel.shape[:2], strides, strict=True)]
    surplus = [max(n, 0) if node.attrs["padding"] == "SAME" else 0 for n in extra]
    begin = [n // 2 for n in surplus]
    end = [n - cut for n, cut in zip(surplus, begin, strict=True)]
    return Call(
        op_type="ConvTranspose",
        args=_with_kernel(node, kernel[::-1, ::-1].transpose(2, 3, 0, 1), bias),
        attrs={
            "strides": strides,
            "pads": [*begin, *end],
            "output_padding": [max(-n, 0) for n in extra],
        },
        channel_axis=1,
    )


def _with_kernel(node: Node, kernel: np.ndarray, bias: Sequence[np.ndarray]) -> Args:
    (x,) = node.inputs
    return {"x": x, "kernel": kernel} | ({"bias": bias[0]} if bias else {})


def _extent(kernel: np.ndarray, dilation: Sequence[int]) -> list[int]:
    """The rows and columns that a kernel spans."""
    return [(n - 1) * apart + 1 for n, apart in zip(kernel.shape[:2], dilation, strict=True)]


def _padding(padding: Padding, window: Sequence[int], strides: Sequence[int]) -> dict[str, Any]:
    """The attributes for a padding of `ops`."""
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
    return Call(op_type="PRelu", args={"x": x, "slope": _array(slope).reshape(-1, 1, 1)})


def _clip(node: Node) -> Call:
    bounds = {"low": np.float32(node.attrs["low"]), "high": np.float32(node.attrs["high"])}
    return _call("Clip", node, settings=bounds)


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
    """The product of the variance and n / (n - 1), whose n the file computes from the image's size."""
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
    return Call(op_type="Mul", args={"x": x}, settings={"factor": factor})


def _channel_shuffle(node: Node) -> Call:
    """A choice of channels, since a reshaping would have to know the image's size."""
    channels = np.arange(node.shape[-1]).reshape(node.attrs["groups"], -1).T.ravel()
    return _call("Gather", node, settings={"channels": channels}, axis=1)


def _pool(op_type: str, node: Node) -> Call:
    window, strides = node.attrs["window"], node.attrs["strides"]
    padding = _padding(node.attrs["padding"], window, strides)
    return _call(op_type, node, kernel_shape=window, strides=strides, **padding)


def _mean(node: Node) -> Call:
    return _call("ReduceMean", node, axes=[_NCHW.index(axis % 4) for axis in node.attrs["axes"]])


def _call(
    op_type: str, node: Node, settings: Mapping[str, Any] | None = None, **attrs: Any
) -> Call:
    """An operator on the tensors and constants of `node` as they are."""
    args = {
        str(i): arg if isinstance(arg, str) else _channels_first(_array(arg))
        for i, arg in enumerate(node.args)
    }
    return Call(op_type=op_type, args=args, settings=settings or {}, attrs=attrs)


def _channels_first(value: np.ndarray) -> np.ndarray:
    """A constant that broadcasts against ``[N, H, W, C]`` as one that does against ``[N, C, H, W]``."""
    if not value.ndim:
        return value
    return value.reshape((1,) * (4 - value.ndim) + value.shape).transpose(_NCHW)


def _array(value: Arg) -> np.ndarray:
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
"""By op, the ONNX operator that computes a node."""
