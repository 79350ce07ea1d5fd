"""tpu-mlir's calibration tables: the range of each operator's output, one line each.

    # op_name    threshold    min    max
    input 1.0000000 0.0000000 1.0000000

Symmetric codes hold ±threshold, or 0 to threshold where no value is negative; asymmetric ones hold min to
max. An operator is named after the tensor that it writes in the .onnx file and after its kind there.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.quant import Range


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """The range of one operator's output.

    Attributes:
      threshold: the largest magnitude that symmetric codes hold.
      low: the smallest value.
      high: the largest value.
    """

    threshold: float
    low: float
    high: float


def read_table(path: str | os.PathLike[str]) -> dict[str, Entry]:
    """Reads a calibration table, by operator.

    Raises:
      InputError: a line has no name and three finite numbers.
    """
    found = {}
    for line in pathlib.Path(path).read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, *cells = line.rsplit(maxsplit=3)
        try:
            threshold, low, high = map(float, cells)
        except ValueError:
            threshold = low = high = math.nan
        if not all(map(math.isfinite, (threshold, low, high))):
            raise InputError(
                f"{path}: the line {line!r} must be an operator and three numbers: its "
                "threshold, its smallest value and its largest."
            )
        found[name] = Entry(threshold=threshold, low=low, high=high)
    return found


def format_table(entries: Mapping[str, Entry]) -> str:
    """Returns the text of a calibration table."""
    lines = [
        f"{name} {entry.threshold:.7f} {entry.low:.7f} {entry.high:.7f}"
        for name, entry in entries.items()
    ]
    return "\n".join(["# op_name    threshold    min    max", *lines, ""])


def name_operators(model: Any) -> dict[str, str]:
    """Returns tpu-mlir's name of the operator that writes each tensor of an `onnx.ModelProto`."""
    names = {value.name: value.name for value in model.graph.input}
    return names | {
        output: f"{output}_{node.op_type}" for node in model.graph.node for output in node.output
    }


def to_entries(model: Any, ranges: Mapping[str, Range]) -> dict[str, Entry]:
    """Returns the entries of a float .onnx file for our ranges, which are by tensor."""
    names = name_operators(model)
    return {
        operator: Entry(
            threshold=max(abs(ranges[tensor][0]), abs(ranges[tensor][1])),
            low=ranges[tensor][0],
            high=ranges[tensor][1],
        )
        for tensor, operator in names.items()
        if tensor in ranges
    }
