"""Describes a TFLite file, of any origin, without running it.

description = describe("model.tflite")
print(description.facts["size"], len(description.rows))
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.export.flatbuffer import (
    Operator,
    Source,
    list_operators,
    read,
    read_content,
    read_enum,
    read_metadata,
)
from sesr_jax.export.onnx import read_onnx_metadata

COLUMNS = ("operator", "reads", "constants", "writes", "scale", "zero point")
"""The header of `Description.rows`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """A file's facts and operators, as text.

    Attributes:
      facts: the metadata that sesr_jax wrote, if any, the input, the output, and the sizes, by name.
      rows: one row for each operator, in the order in which they run: its number and name, the shapes of the
        activations and constants that it reads and of what it writes, and the scale and zero point of that.
    """

    facts: Mapping[str, str]
    rows: tuple[tuple[str, ...], ...]


def describe(source: Source) -> Description:
    """Describes a TFLite file.

    Raises:
      InputError: there is no such file, it is not TFLite, or it is damaged.
    """
    data = read_content(source)
    model = read(source)
    try:
        found = list_operators(model)
        (subgraph,) = model.subgraphs
        facts = describe_metadata(read_metadata(source))
        for kind, indices in (("input", subgraph.inputs), ("output", subgraph.outputs)):
            tensors = [subgraph.tensors[i] for i in indices]
            facts[kind] = ", ".join(
                f"{_describe_tensor(t)} {_describe_codes(t)}".strip() for t in tensors
            )
        activations = [t for t in subgraph.tensors if not _count_bytes(model, t)]
        constants = sum({t.buffer: _count_bytes(model, t) for t in subgraph.tensors}.values())
        largest = max((_count_elements(t) for t in activations), default=0)
        facts["size"] = (
            f"{len(data):,} bytes: {constants:,} of constants in {len(found)} operators; the largest "
            f"activation has {largest:,} elements"
        )
        rows = [_describe_operator(model, number, op) for number, op in enumerate(found)]
    # A damaged file may parse, and yet have indices that point anywhere.
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"the TFLite model is damaged ({type(error).__name__}: {error}); convert it again."
        ) from error
    return Description(facts=facts, rows=tuple(rows))


def describe_metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Returns the metadata of a file as text; of ranges, which are many, their number alone."""
    told = dict(metadata)
    if isinstance(ranges := told.get("ranges"), Mapping):
        told["ranges"] = f"of {len(ranges)} groups of tensors; below as scales"
    return {name: _to_text(value) for name, value in told.items()}


def list_proofs(source: Source) -> list[str]:
    """Returns a line for each check that a file of sesr_jax passed when it was exported.

    Args:
      source: a TFLite file's path or content, or the path of an .onnx file.

    Raises:
      InputError: as `read_metadata`.
    """
    is_onnx = not isinstance(source, bytes) and str(source).endswith(".onnx")
    metadata = read_onnx_metadata(source) if is_onnx else read_metadata(source)  # type: ignore[arg-type]
    lines = []
    if (difference := metadata["collapse"]["difference"]) is not None:
        lines.append(f"collapsed and expanded network: {difference:.1e} apart")
    if "codes" in metadata:
        lines.append("codes: all as the integer reference computes them")
    if proof := metadata.get("onnx_runtime"):
        lines += [
            "layers: all as the reference computes them, but for their last rounding",
            f"output by ONNX Runtime: {proof['output']:.2g}{' codes' * proof['codes']} apart",
        ]
    if other := metadata.get("cross_check"):
        lines.append(f"the file by {other['converter']}: {other['largest_difference']:g} apart")
    return lines


def _describe_operator(model: Any, number: int, op: Operator) -> tuple[str, ...]:
    read_from = [tensor for tensor in op.inputs if tensor is not None]
    constants = [t for t in read_from if _count_bytes(model, t)]
    activations = [t for t in read_from if not _count_bytes(model, t)]
    written = op.outputs[0]
    return (
        f"{number}_{op.name.lower()}",
        ", ".join(map(_describe_tensor, activations)),
        ", ".join(f"{_describe_tensor(t)}{_describe_scales(t)}" for t in constants),
        _describe_tensor(written),
        *(_read_scale(written) or ("", "")),
    )


def _describe_tensor(tensor: Any) -> str:
    """Returns the dtype and the shape of `tensor`, such as "int8[1×40×48×16]"."""
    dtype = read_enum("TensorType").get(tensor.type, "?").lower()
    signature = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    sides = [] if signature is None else [str(n) if n >= 0 else "?" for n in signature]
    return f"{dtype}[{'×'.join(sides)}]"


def _read_scale(tensor: Any) -> tuple[str, str] | None:
    """Returns the scale and the zero point of a tensor that has one of each, and None for others."""
    found = tensor.quantization
    if found is None or found.scale is None or len(found.scale) != 1:
        return None
    return f"{found.scale[0]:.6g}", str(int(found.zeroPoint[0]))


def _describe_codes(tensor: Any) -> str:
    found = _read_scale(tensor)
    return f"scale {found[0]} zero point {found[1]}" if found else ""


def _describe_scales(tensor: Any) -> str:
    found = tensor.quantization
    scales = 0 if found is None or found.scale is None else len(found.scale)
    return f" ({scales} scales)" if scales > 1 else ""


def _count_bytes(model: Any, tensor: Any) -> int:
    data = model.buffers[tensor.buffer].data
    return 0 if data is None else len(data)


def _count_elements(tensor: Any) -> int:
    return math.prod(map(int, tensor.shape)) if tensor.shape is not None else 0


def _to_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_to_text(inner)}" for key, inner in value.items())
    return value if isinstance(value, str) else json.dumps(value)
