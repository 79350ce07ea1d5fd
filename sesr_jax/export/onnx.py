"""Writes a Graph as an ONNX file, float or INT8 in QDQ form.

    export_onnx(graph, "sesr_m5_x2.onnx", ranges=calibrate(graph, images))

Tensors are ``[N, C, H, W]`` within the file and at its ends, as ONNX has it: the input is the float
image in [0, 1], and so is the output. N, H and W are symbolic: a file runs at every size at which
`graph.run` does. Nodes and tensors are named as in the Graph.

An INT8 file is a float network with a QuantizeLinear and a DequantizeLinear at each quantisation point
(`quant.find_points`), which runtimes fuse into integer kernels. There the value before the point is
``name/float``, its codes are ``name/codes``, and what others read is ``name`` (for the input, whose
float value has its name, ``name/dequantised``). Kernels have symmetric int8 codes with a scale for each
output channel, biases the int32 codes of their convolution's sums, PReLU slopes symmetric int8 codes
and other constants the codes of their own range, all as in our TFLite files.

Limits: one input, one output; activations of 16 bits would need a later operator set. ONNX Runtime
quantises the float kernel of an excluded convolution between two points on its own account, unless its
optimiser "WeightBiasQuantization" is disabled.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sesr_jax import __version__
from sesr_jax.errors import InputError, require_extra
from sesr_jax.export.checks import check_graph
from sesr_jax.export.onnx_operators import CALLS, Call, Computed, Setting
from sesr_jax.files import write_file
from sesr_jax.graph import Graph, Node
from sesr_jax.quant import INT8, Ranges, Scheme, affine, find_points, validate
from sesr_jax.quant.weight_codes import kernel_scale, symmetric_scale

OPSET = 17
"""The version of ONNX's operator set in the files. It suffices, and fewer tools read a later one."""


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
      path: the path of the file, which appears whole or not at all.
      ranges: the range of each group of tensors, or None for float activations.
      scheme: what is quantised where there are ranges; with float activations, the kernels alone.
      metadata: what a reader of the bare file should know. It stands in ``metadata_props``, text as it
        is and all other values as JSON, beside "version" (of this package) and "ranges".

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
    write_file(path, model.SerializeToString())


def to_onnx(graph: Graph, *, ranges: Ranges | None = None, scheme: Scheme = INT8) -> Any:
    """Returns the `onnx.ModelProto` of `graph`, quantised by `scheme` where there are ranges.

    A scheme of float activations needs no ranges: then the kernels alone have codes.

    Raises:
      InputError: an operation has no ONNX form here, a parameter is not finite, `ranges` do not suit the
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
    """Collects the operators and constants of a file.

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
            found = find_points(graph, scheme)
            self._affine = {name: affine(*ranges[key]) for name, key in found.group.items()}
            self._absorbed = found.absorbed
        # For each tensor of the Graph, the tensor that its readers read in the file.
        self._names = {name: name for name in graph.shapes}
        if graph.input in self._affine:
            self._names[graph.input] = f"{graph.input}/dequantised"
            self._write_point(graph.input, graph.input)
        for node in graph.nodes:
            self._write_node(node)

    def _write_node(self, node: Node) -> None:
        """Writes the operators of `node`, with its quantisation point where it has one."""
        if node.name in self._absorbed:
            self._write_point(node.name, self._names[node.inputs[0]])
            return
        call = CALLS[node.op](node)
        inputs = [
            self._names[arg]
            if isinstance(arg, str)
            else self._write_parameter(node, call, role, arg)
            for role, arg in call.args.items()
        ]
        inputs += [
            self._write_setting(f"{node.name}/{role}", value)
            for role, value in call.settings.items()
        ]
        quantised = node.name in self._affine
        output = f"{node.name}/float" if quantised else node.name
        self._write_operator(node.name, call.op_type, inputs, output, **call.attrs)
        if quantised:
            self._write_point(node.name, output)

    def _write_point(self, name: str, value: str) -> None:
        """Quantises the file's tensor `value` to the codes of the Graph's tensor `name`, and back."""
        scale, zero_point = self._affine[name]
        meaning = self._write_meaning(name, np.float32(scale), np.int8(zero_point))
        self._write_operator(
            f"{name}/quantise", "QuantizeLinear", [value, *meaning], f"{name}/codes"
        )
        self._write_dequantisation(name, meaning, self._names[name])

    def _write_parameter(self, node: Node, call: Call, role: str, value: np.ndarray) -> str:
        """Writes a parameter, as codes if it is quantised, and returns the name of its tensor."""
        name = f"{node.name}/{role}"
        input_scale, _ = self._affine.get(node.inputs[0], (0.0, 0))
        exact = self._scheme is None or self._scheme.excludes(node.name)
        if exact or (role == "bias" and not input_scale) or (role != "kernel" and not self._affine):
            return self._write_constant(name, value)
        codes, scale, zero_point = _quantise_parameter(call, role, input_scale)
        self._write_constant(f"{name}/codes", codes)
        meaning = self._write_meaning(name, scale, zero_point)
        axis = {"axis": call.channel_axis if role == "kernel" else 0} if scale.ndim else {}
        self._write_dequantisation(name, meaning, name, **axis)
        return name

    def _write_meaning(
        self, name: str, scale: npt.ArrayLike, zero_point: npt.ArrayLike
    ) -> list[str]:
        """Writes the scale and the zero point of the codes of `name`, and returns their names."""
        return [
            self._write_constant(f"{name}/scale", scale),
            self._write_constant(f"{name}/zero_point", zero_point),
        ]

    def _write_dequantisation(
        self, name: str, meaning: list[str], output: str, **attrs: Any
    ) -> None:
        inputs = [f"{name}/codes", *meaning]
        self._write_operator(f"{name}/dequantise", "DequantizeLinear", inputs, output, **attrs)

    def _write_setting(self, name: str, value: Setting) -> str:
        if value is None:
            return ""
        if not isinstance(value, Computed):
            return self._write_constant(name, value)
        inputs = [
            self._names[arg] if isinstance(arg, str) else self._write_setting(f"{name}/{i}", arg)
            for i, arg in enumerate(value.args)
        ]
        self._write_operator(name, value.op_type, inputs, name, **value.attrs)
        return name

    def _write_constant(self, name: str, value: npt.ArrayLike) -> str:
        import onnx

        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def _write_operator(
        self, name: str, op_type: str, inputs: list[str], output: str, **attrs: Any
    ) -> None:
        import onnx

        self.nodes.append(onnx.helper.make_node(op_type, inputs, [output], name, **attrs))


def _quantise_parameter(
    call: Call, role: str, input_scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the codes of the parameter `role`, and their scale and zero point: one, or one per channel.

    `input_scale` is the scale of the input's codes, and 0 where the input has none.
    """
    value = np.asarray(call.args[role], np.float64)
    dtype: type[np.signedinteger] = np.int8
    zero_point = 0
    if role in ("kernel", "bias"):
        scale = _compute_kernel_scale(call, input_scale)
        if role == "bias":
            dtype, scale = np.int32, scale * np.float32(input_scale)
    elif role == "slope":
        scale = np.asarray(symmetric_scale(value), np.float32)
    else:
        low, high = min(value.min(), 0.0), max(value.max(), 0.0)
        step, zero_point = affine(low, high) if low < high else (1.0, 0)
        scale = np.asarray(step, np.float32)
    per_channel = [-1 if i == call.channel_axis else 1 for i in range(value.ndim)]
    steps = scale.reshape(per_channel) if role == "kernel" else scale
    codes = np.rint(value / steps) + zero_point
    return codes.astype(dtype), scale, np.full(scale.shape, zero_point, dtype)


def _compute_kernel_scale(call: Call, input_scale: float) -> np.ndarray:
    """Returns the scales of a kernel's codes, float32 ``[out]``; the bias counts beside codes alone."""
    kernel, bias = np.asarray(call.args["kernel"]), call.args.get("bias", 0.0)
    if not input_scale:
        bias, input_scale = 0.0, 1.0
    return kernel_scale(kernel, bias, input_scale, call.channel_axis).astype(np.float32)  # type: ignore[arg-type]
