"""ONNX Runtime's session as a runtime: calls take and give plain values and arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Runtime:
    """An ONNX file, loaded."""

    def __init__(self, *, path: str | bytes, fused: bool = True) -> None:
        """Loads the file, or content that is like one; without `fused`, its operators run as they stand."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if not fused:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        # Without it, sums of 8-bit products saturate at 16 bits on x86 CPUs of before 2019.
        options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = onnxruntime.InferenceSession(
            path,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["WeightBiasQuantization"],
        )

    def edges(self) -> list[list[dict[str, Any]]]:
        """Returns the facts of the inputs and of the outputs: name, shape and type."""
        sides = (self._session.get_inputs(), self._session.get_outputs())
        return [
            [{"name": one.name, "shape": one.shape, "type": one.type} for one in side]
            for side in sides
        ]

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Returns the first output for the first input."""
        (y,) = self._session.run(None, {self._session.get_inputs()[0].name: x})
        return np.asarray(y)

    def compute(
        self, names: Sequence[str], values: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """Returns the outputs of those names for inputs by name."""
        return [np.asarray(y) for y in self._session.run(list(names), dict(values))]
