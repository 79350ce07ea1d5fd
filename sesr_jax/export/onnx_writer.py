"""Collects the operators and constants of an ONNX file; `export.onnx` says how they are named and why.

writer = Writer(graph, ranges, INT8, half=False, io="uint8")
writer.nodes, writer.constants
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sesr_jax.errors import InputError
from sesr_jax.export.onnx_operators import CALLS, Call, Computed, Setting
from sesr_jax.export.options import Codes
from sesr_jax.graph import Graph, Node
from sesr_jax.quant import Ranges, Scheme, find_points
from sesr_jax.quant.integer.tensor import Affine, as_tensor
from sesr_jax.quant.weight_codes import (
    LARGEST_BIAS,
    LARGEST_CODE,
    kernel_scale,
    round_to_codes,
    symmetric_scale,
)


class Writer:
    """The operators and constants of a file.

    Attributes:
      nodes: `onnx.NodeProto`s in an order in which they can run.
      constants: `onnx.TensorProto`s, the initializers.
    """

    def __init__(
        self,
        graph: Graph,
        ranges: Ranges,
        scheme: Scheme | None,
        *,
        half: bool,
        io: Codes | None,
    ) -> None:
        """Writes all of `graph`.

        Args:
          graph: the network.
          ranges: the range of each group of tensors that `scheme` quantises.
          scheme: what is quantised; None where nothing is.
          half: whether weights and activations are float16.
          io: the type of the pixels where they are codes.
        """
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._graph, self._scheme, self._half = graph, scheme, half
        self._affine: dict[str, Affine] = {}
        self._absorbed: frozenset[str] = frozenset()
        if scheme is not None:
            found = find_points(graph, scheme)
            self._affine = {name: Affine.of(*ranges[key]) for name, key in found.group.items()}
            self._absorbed = found.absorbed
        # For each tensor of the Graph, the tensors of the file that its readers read and that its codes are.
        self._names = {name: name for name in graph.shapes}
        self._codes = {name: f"{name}/codes" for name in self._affine}
        self._write_input(graph.input, io)
        self._prepare_output(graph.output, io)
        for node in graph.nodes:
            self._write_node(node)
        self._write_output(graph.output, io)

    def _write_input(self, name: str, io: Codes | None) -> None:
        """Writes what stands between the file's input and the first nodes."""
        if self._half:
            self._names[name] = f"{name}/float16"
            self._write_cast(name, self._names[name], np.float16)
        if name not in self._affine:
            return
        self._names[name] = f"{name}/dequantised"
        if io == "int8":
            self._codes[name] = name
            self._write_dequantisation(name, self._write_affine(name))
        elif io == "uint8":
            inputs = [name, *self._write_pixels(name)]
            self._write_operator(
                f"{name}/pixels/dequantise", "DequantizeLinear", inputs, f"{name}/pixels"
            )
            self._write_point(name, f"{name}/pixels")
        else:
            self._write_point(name, name)

    def _prepare_output(self, name: str, io: Codes | None) -> None:
        """Names the tensors of the last node so that `name` is left for the file's output."""
        if self._half:
            self._names[name] = f"{name}/float16"
        if io is not None:
            self._names[name] = f"{name}/dequantised"
        if io == "int8":
            self._codes[name] = name

    def _write_output(self, name: str, io: Codes | None) -> None:
        """Writes what stands between the last node and the file's output."""
        if self._half:
            self._write_cast(self._names[name], name, np.float32)
        if io == "uint8":
            inputs = [self._names[name], *self._write_pixels(name)]
            self._write_operator(f"{name}/pixels/quantise", "QuantizeLinear", inputs, name)

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
            self._write_setting(f"{node.name}/{role}", value, typed=role in call.typed)
            for role, value in call.settings.items()
        ]
        quantised = node.name in self._affine
        output = f"{node.name}/float" if quantised else self._names[node.name]
        self._write_operator(node.name, call.op_type, inputs, output, **call.attrs)
        if quantised:
            self._write_point(node.name, output)

    def _write_point(self, name: str, value: str) -> None:
        """Quantises the file's tensor `value` to the codes of the Graph's tensor `name`, and back."""
        meaning, codes = self._write_affine(name), self._codes[name]
        self._write_operator(f"{name}/quantise", "QuantizeLinear", [value, *meaning], codes)
        if codes != name or self._graph.find_readers(name):  # not at the end of a file of codes
            self._write_dequantisation(name, meaning)

    def _write_parameter(self, node: Node, call: Call, role: str, value: np.ndarray) -> str:
        """Writes a parameter, as codes if it is quantised, and returns the name of its tensor."""
        name = f"{node.name}/{role}"
        of_input = self._affine.get(node.inputs[0])
        input_scale = of_input.scale if of_input else 0.0
        exact = self._scheme is None or self._scheme.excludes(node.name)
        if exact or (role == "bias" and not input_scale) or (role != "kernel" and not self._affine):
            return self._write_constant(name, self._to_half(name, value))
        codes, scale, zero_point = _quantise_parameter(call, role, input_scale)
        inputs = [
            self._write_constant(f"{name}/codes", codes),
            *self._write_meaning(name, scale, zero_point),
        ]
        axis = {"axis": call.channel_axis if role == "kernel" else 0} if scale.ndim else {}
        self._write_operator(f"{name}/dequantise", "DequantizeLinear", inputs, name, **axis)
        return name

    def _write_affine(self, name: str) -> list[str]:
        of = self._affine[name]
        return self._write_meaning(name, of.stored, np.int8(of.zero_point))

    def _write_pixels(self, name: str) -> list[str]:
        """Writes what the uint8 pixels mean whose codes, less 128, are those of the Graph's tensor `name`."""
        of = self._affine[name]
        return self._write_meaning(f"{name}/pixels", of.stored, np.uint8(of.zero_point + 128))

    def _write_meaning(
        self, name: str, scale: npt.ArrayLike, zero_point: npt.ArrayLike
    ) -> list[str]:
        """Writes the scale and the zero point of the codes of `name`, and returns their names."""
        return [
            self._write_constant(f"{name}/scale", scale),
            self._write_constant(f"{name}/zero_point", zero_point),
        ]

    def _write_dequantisation(self, name: str, meaning: list[str]) -> None:
        """Makes the values that others read of the codes of the Graph's tensor `name`."""
        inputs = [self._codes[name], *meaning]
        self._write_operator(f"{name}/dequantise", "DequantizeLinear", inputs, self._names[name])

    def _write_setting(self, name: str, value: Setting, *, typed: bool) -> str:
        if value is None:
            return ""
        if not isinstance(value, Computed):
            return self._write_constant(name, self._to_half(name, value) if typed else value)
        inputs = [
            self._names[arg]
            if isinstance(arg, str)
            else self._write_setting(f"{name}/{i}", arg, typed=False)
            for i, arg in enumerate(value.args)
        ]
        self._write_operator(name, value.op_type, inputs, name, **value.attrs)
        if typed and self._half:
            self._write_cast(name, f"{name}/float16", np.float16)
            return f"{name}/float16"
        return name

    def _to_half(self, name: str, value: npt.ArrayLike) -> npt.ArrayLike:
        """Returns a float value in the type of the file's activations."""
        if not self._half:
            return value
        most, largest = float(np.abs(value).max(initial=0)), float(np.finfo(np.float16).max)
        if most > largest:
            raise InputError(
                f"{name!r} holds {most:g}, where float16 ends at {largest:g}: export float32."
            )
        return np.asarray(value, np.float16)

    def _write_constant(self, name: str, value: npt.ArrayLike) -> str:
        import onnx

        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def _write_cast(self, source: str, output: str, dtype: npt.DTypeLike) -> None:
        import onnx

        to = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._write_operator(f"{output}/cast", "Cast", [source], output, to=to)

    def _write_operator(
        self, name: str, op_type: str, inputs: list[str], output: str, **attrs: Any
    ) -> None:
        import onnx

        self.nodes.append(onnx.helper.make_node(op_type, inputs, [output], name, **attrs))


def _quantise_parameter(
    call: Call, role: str, input_scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the codes of the parameter `role`, and their scale and zero point: one, or one per channel.

    `input_scale` is the scale of the input's codes in float64, and 0 where the input has none.
    """
    value = np.asarray(call.args[role])
    if role not in ("kernel", "bias", "slope"):
        operand = as_tensor(value)
        scale = np.asarray(operand.affine.stored, np.float32)
        return operand.codes.astype(np.int8), scale, np.asarray(operand.affine.zero_point, np.int8)
    dtype: type[np.signedinteger] = np.int8
    if role == "slope":
        steps = np.asarray(symmetric_scale(value))
        scale = steps.astype(np.float32)
        codes = round_to_codes(value / steps)
    else:
        steps = _compute_kernel_scale(call, input_scale)
        scale = steps.astype(np.float32)
        if role == "bias":
            dtype, scale = np.int32, scale * np.float32(input_scale)
            codes = round_to_codes(value / (input_scale * steps), -LARGEST_BIAS, LARGEST_BIAS)
        else:
            channels = [-1 if i == call.channel_axis else 1 for i in range(value.ndim)]
            codes = round_to_codes(value / steps.reshape(channels), -LARGEST_CODE, LARGEST_CODE)
    return codes.astype(dtype), scale, np.zeros(scale.shape, dtype)


def _compute_kernel_scale(call: Call, input_scale: float) -> np.ndarray:
    """Returns the scales of a kernel's codes, float64 ``[out]``; the bias counts beside codes alone."""
    kernel, bias = np.asarray(call.args["kernel"]), call.args.get("bias", 0.0)
    if not input_scale:
        bias, input_scale = 0.0, 1.0
    return kernel_scale(kernel, bias, input_scale, call.channel_axis)  # type: ignore[arg-type]
