"""Describes an ONNX file, of any origin, without running it.

description = describe_onnx("model.onnx")
print(description.facts["input"], len(description.rows))
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sesr_jax.errors import InputError, require_extra
from sesr_jax.export.describe import Description, describe_metadata
from sesr_jax.export.onnx import parse_metadata
from sesr_jax.untrusted import check_regular, refuse_damaged


def describe_onnx(path: str | os.PathLike[str]) -> Description:
    """Describes an ONNX file as `describe` does, with the names of activations in the place of their shapes.

    Raises:
      InputError: there is no such file, it is no ONNX file, or it is damaged; onnx is not installed.
    """
    check_regular(path)
    with require_extra("export", f"describing {os.fspath(path)}"):
        import onnx
    with refuse_damaged(f"{os.fspath(path)} is no ONNX file that can be read"):
        model = onnx.load(os.fspath(path), load_external_data=False)
        graph = model.graph
        if not graph.node or not graph.output:
            raise InputError(
                f"{os.fspath(path)} is no ONNX file: it must have operators and an output."
            )
        constants = {one.name: one for one in graph.initializer}
        facts = describe_metadata(parse_metadata(model))
        for kind, values in (("input", graph.input), ("output", graph.output)):
            shown = (_describe_value(one) for one in values if one.name not in constants)
            facts[kind] = ", ".join(shown)
        held = sum(len(one.raw_data) or one.ByteSize() for one in constants.values())
        opsets = ", ".join(f"{one.domain or 'ONNX'} {one.version}" for one in model.opset_import)
        facts["size"] = (
            f"{os.path.getsize(path):,} bytes: {held:,} of constants in {len(graph.node)} operators of "
            f"{opsets}"
        )
        rows = [_describe_node(number, node, constants) for number, node in enumerate(graph.node)]
    return Description(facts=facts, rows=tuple(rows))


def _describe_node(number: int, node: Any, constants: Mapping[str, Any]) -> tuple[str, ...]:
    held = [constants[name] for name in node.input if name in constants]
    scale = zero_point = ""
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        meaning = [constants[name] for name in node.input[1:] if name in constants]
        scale, zero_point = (*map(_describe_scalar, meaning), "", "")[:2]
    return (
        f"{number}_{node.op_type.lower()}",
        ", ".join(name for name in node.input if name and name not in constants),
        ", ".join(map(_describe_constant, held)),
        ", ".join(node.output),
        scale,
        zero_point,
    )


def _describe_value(value: Any) -> str:
    """Returns the dtype and the shape of an input or an output, such as "float32[N×1×H×W]"."""
    kind = value.type.tensor_type
    sides = (
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in kind.shape.dim
    )
    return f"{_name_dtype(kind.elem_type)}[{'×'.join(sides)}]"


def _describe_constant(constant: Any) -> str:
    return f"{_name_dtype(constant.data_type)}[{'×'.join(map(str, constant.dims))}]"


def _describe_scalar(constant: Any) -> str:
    """Returns a constant's one value; of several, such as the scales of channels, how many there are."""
    import onnx

    values = onnx.numpy_helper.to_array(constant)
    if values.size != 1:
        return f"({values.size})"
    return f"{values.item():.6g}" if values.dtype.kind == "f" else str(values.item())


def _name_dtype(number: int) -> str:
    import onnx

    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)).name
