"""Runs an ONNX file with ONNX Runtime, on arrays in the types and the layout of the file.

    model = OnnxModel("sesr_m5_x2.onnx")
    y = model.run(x)    # [N, C, H, W]

ONNX Runtime has two ways to run a file (`ONNX_KERNELS`), whose outputs differ by rounding. It fuses operators
into kernels of its own, by which codes are multiplied as integers, or runs each operator as it stands in the
file.
"""

import dataclasses
import importlib
import os
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from sesr_jax.errors import InputError, UnsupportedError, find_reason, require_extra
from sesr_jax.export.flatbuffer import Source
from sesr_jax.sandbox import Sandbox
from sesr_jax.sandbox.onnx import Runtime
from sesr_jax.untrusted import check_regular

OnnxKernels = Literal["fused", "as written"]

ONNX_KERNELS: dict[OnnxKernels, bool] = {"fused": True, "as written": False}
"""The ways to run a file by name: whether ONNX Runtime fuses operators."""

_TYPES = {f"tensor({name})": np.dtype(kind) for name, kind in (
    ("float", np.float32), ("float16", np.float16), ("uint8", np.uint8), ("int8", np.int8)
)}  # fmt: skip
"""The types of an image, by ONNX Runtime's names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnnxEdge:
    """An input or an output of an ONNX file.

    Attributes:
      name: its tensor.
      shape: the lengths of its sides; a name or None stands for a side of any length.
      type: ONNX Runtime's name of its type, such as "tensor(float)".
    """

    name: str
    shape: tuple[Any, ...]
    type: str

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The type; None where images of this package do not have it."""
        return _TYPES.get(self.type)

    def __str__(self) -> str:
        """Returns the type and the shape, for messages."""
        return f"{self.type}{list(self.shape)}"


class OnnxModel:
    """An ONNX file, loaded by ONNX Runtime.

    Attributes:
      inputs: what the file takes.
      outputs: what the file gives.
    """

    def __init__(self, source: Source, *, kernels: OnnxKernels = "fused") -> None:
        """Loads the file: content in this process, which has made it, and a path in a `Sandbox`.

        Args:
          source: the file's path or content.
          kernels: the way of `ONNX_KERNELS` in which it runs.

        Raises:
          InputError: there is no such file, ONNX Runtime is not installed, or the file ends the process that
            runs it.
          UnsupportedError: ONNX Runtime cannot load it.
        """
        self._what = "the given model" if isinstance(source, bytes) else os.fspath(source)
        if not isinstance(source, bytes):
            check_regular(source)
        with require_extra("export", f"running {self._what}"):
            importlib.import_module("onnxruntime")
        fused = ONNX_KERNELS[kernels]
        try:
            if isinstance(source, bytes):
                runtime = Runtime(path=source, fused=fused)
                self._call: Callable[..., Any] = lambda method, *args: getattr(runtime, method)(
                    *args
                )
            else:
                path = os.path.abspath(source)
                self._call = Sandbox(
                    "sesr_jax.sandbox.onnx", self._what, path=path, fused=fused
                ).call
            edges = self._call("edges")
        except InputError:
            raise
        except Exception as error:  # of ONNX Runtime, whose classes share no other
            raise UnsupportedError(
                f"{self._what} is no whole ONNX file that ONNX Runtime runs ({find_reason(error)}); export "
                "it again."
            ) from error
        self.inputs, self.outputs = (
            tuple(OnnxEdge(**{**edge, "shape": tuple(edge["shape"])}) for edge in side)
            for side in edges
        )

    def run(self, x: np.ndarray) -> np.ndarray:
        """Returns the file's first output for its only input.

        Raises:
          InputError: ONNX Runtime refuses `x` or fails on it, or the file ends the process that runs it.
        """
        try:
            y: np.ndarray = self._call("run", x)
        except InputError:
            raise
        except Exception as error:  # as above
            raise InputError(
                f"ONNX Runtime cannot run {self._what} ({find_reason(error)})."
            ) from error
        return y
