"""LiteRT's interpreter as a runtime: calls take and give plain values and arrays."""

import itertools
import time
from typing import Any

import numpy as np
import numpy.typing as npt


class Runtime:
    """A TFLite file, loaded; `edges` has what it takes and gives."""

    def __init__(
        self,
        *,
        content: bytes,
        resolver: str,
        num_threads: int | None = None,
        keep_tensors: bool = False,
    ) -> None:
        """Loads the file with the kernels of `resolver`, one of LiteRT's `OpResolverType`."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._interpreter = Interpreter(
            model_content=bytes(content),
            experimental_op_resolver_type=OpResolverType[resolver],
            num_threads=num_threads,
            experimental_preserve_all_tensors=keep_tensors,
        )
        self._interpreter.allocate_tensors()

    def edges(self) -> list[list[dict[str, Any]]]:
        """Returns the facts of the inputs and of the outputs: shape, dtype, scale and zero point."""
        sides = (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        return [
            [
                {
                    "shape": [int(n) for n in tensor["shape"]],
                    "dtype": np.dtype(tensor["dtype"]).str,
                    "scale": float(tensor["quantization"][0]),
                    "zero_point": int(tensor["quantization"][1]),
                }
                for tensor in side
            ]
            for side in sides
        ]

    def resize(self, shape: list[int]) -> None:
        """Makes room for an input of another shape."""
        index = self._interpreter.get_input_details()[0]["index"]
        self._interpreter.resize_tensor_input(index, [int(n) for n in shape])
        self._interpreter.allocate_tensors()

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Returns the first output for the first input."""
        self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], x)
        self._interpreter.invoke()
        return np.asarray(
            self._interpreter.get_tensor(self._interpreter.get_output_details()[0]["index"])
        )

    def time(self, x: npt.NDArray[Any], runs: int) -> list[float]:
        """Returns the seconds of each of some runs on `x`, without its copying; a first one goes before."""
        self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], x)
        moments = []
        for _ in range(runs + 1):
            self._interpreter.invoke()
            moments.append(time.perf_counter())
        return [after - before for before, after in itertools.pairwise(moments)]

    def tensor(self, index: int) -> npt.NDArray[Any]:
        """Returns what was written to a tensor; it needs `keep_tensors`."""
        return np.asarray(self._interpreter.get_tensor(index))
