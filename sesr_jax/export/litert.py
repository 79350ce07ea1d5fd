"""Runs a TFLite file with LiteRT, from images to images.

    model = TFLiteModel("sesr_m5_x2.tflite")
    y = model(x)    # both float [N, H, W, C] in [0, 1]; within the file they are codes

LiteRT has several kernel sets (`KERNELS`), whose outputs differ by one code on some pixels. The kernels of
XNNPACK, the default, requantise as float arithmetic does, and what XNNPACK lacks (PReLU, transposed
convolutions) runs on the optimised kernels. The reference kernels are plain loops in fixed point.
"""

import contextlib
import copy
import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sesr_jax.errors import InputError, UnsupportedError, require_extra
from sesr_jax.export.flatbuffer import (
    Source,
    import_schema,
    pack,
    read,
    read_content,
    read_metadata,
)
from sesr_jax.graph import move_pixels
from sesr_jax.sandbox import Sandbox, SandboxError
from sesr_jax.sandbox.litert import Runtime

Kernels = Literal["XNNPACK", "optimised", "reference"]

KERNELS: dict[Kernels, str] = {
    "XNNPACK": "AUTO",
    "optimised": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}
"""The kernel sets by name, each with LiteRT's name for the resolver that chooses it."""

_SLACK = 0.1
"""How far the smallest and the largest code of pixels may lie from 0 and 1."""

_REFUSALS = (RuntimeError, ValueError, MemoryError, SandboxError)
"""What LiteRT raises, here and in a sandbox."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantisation:
    """The codes of a tensor: ``value = scale · (code - zero_point)``."""

    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest value that have a code."""
        info = np.iinfo(self.dtype)
        low, high = (self.scale * (int(code) - self.zero_point) for code in (info.min, info.max))
        return low, high

    @property
    def are_pixels(self) -> bool:
        """Whether the codes stand for values from 0 to 1 or, where they are symmetric, from -1 to 1."""
        low, high = self.limits
        symmetric = self.zero_point == 0 and low < 0
        return abs(high - 1) < _SLACK and (symmetric or abs(low) < _SLACK)

    def quantise(self, x: np.ndarray) -> np.ndarray:
        """Returns the codes nearest to `x`, saturated."""
        info = np.iinfo(self.dtype)
        codes = np.rint(x / np.float32(self.scale)) + self.zero_point
        return np.clip(codes, info.min, info.max).astype(self.dtype)

    def dequantise(self, codes: np.ndarray) -> np.ndarray:
        """Returns the values that `codes` stand for, float32."""
        return (codes.astype(np.float32) - self.zero_point) * np.float32(self.scale)


class TFLiteModel:
    """A TFLite file as a function of images.

    Where a file leaves its last depth-to-space operations to the host, they are done here.

    Attributes:
      input_shape: ``[N, H, W, C]`` as exported.
      output_shape: the shape of the output image, ``[N, H, W, C]``.
      input: what the input's codes stand for; None where the input is float.
      output: what the output's codes stand for; None where the output is float.
    """

    def __init__(
        self,
        source: Source,
        *,
        kernels: Kernels = "XNNPACK",
        num_threads: int | None = None,
        keep_tensors: bool = False,
    ) -> None:
        """Loads the file: content in this process, which has made it, and a path in a `Sandbox`.

        Args:
          source: the file's path or content.
          kernels: the set of `KERNELS` that runs it.
          num_threads: the number of threads of the kernels; by default LiteRT chooses it.
          keep_tensors: whether a run leaves all of its tensors in memory, for `read_tensors`.

        Raises:
          InputError: there is no such file, it does not map one image to another, or it ends the process
            that runs it.
          UnsupportedError: LiteRT cannot load it by these kernels.
        """
        self._content = data = read_content(source)
        self._host_blocks = tuple(read_metadata(source).get("host_blocks", ()))
        arguments: dict[str, Any] = {
            "content": _downgrade_depth_to_space(data) if kernels == "reference" else data,
            "resolver": KERNELS[kernels],
            "num_threads": num_threads,
            "keep_tensors": keep_tensors,
        }
        self._what = "the given model" if isinstance(source, bytes) else os.fspath(source)
        self._arguments, self._is_trusted = arguments, isinstance(source, bytes)
        self._start()
        shapes = [[tensor["shape"] for tensor in edge] for edge in self._edges]
        if any(len(edge) != 1 or len(edge[0]) != 4 for edge in shapes):
            raise InputError(
                f"the model maps {shapes[0]} to {shapes[1]}: it must map one tensor [N, H, W, C] to another."
            )
        self.input_shape, written = (tuple(edge[0]["shape"]) for edge in self._edges)
        if min((*self.input_shape, *written)) < 1:
            raise InputError(
                f"the model maps {shapes[0]} to {shapes[1]}: it must map pixels to pixels."
            )
        if written[-1] % math.prod(self._host_blocks) ** 2:
            raise InputError(
                f"the model writes {written[-1]} channels, which make no blocks of {self._host_blocks}: "
                "its metadata are not its own; export it again."
            )
        self.output_shape = self._move_pixels(np.empty(written, np.bool_)).shape
        self.input, self.output = (_read_quantisation(edge[0], self._what) for edge in self._edges)

    def _start(self) -> None:
        """Loads the content into a runtime of its own."""
        try:
            with require_extra("export", "running TFLite files"):
                if self._is_trusted:
                    self._call: Callable[..., Any] = _call_here(Runtime(**self._arguments))
                else:
                    module = "sesr_jax.sandbox.litert"
                    self._call = Sandbox(module, self._what, **self._arguments).call
        except _REFUSALS as error:
            raise UnsupportedError(
                f"LiteRT cannot load {self._what}: {_to_line(error)}; export it again."
            ) from error
        self._edges = self._call("edges")

    def copy(self, *, num_threads: int | None) -> "TFLiteModel":
        """Returns the model with so many threads, in a runtime of its own, which may run at the same time.

        Raises:
          InputError, UnsupportedError: as `TFLiteModel`.
        """
        other = copy.copy(self)
        other._arguments = {**self._arguments, "num_threads": num_threads}
        other._start()
        return other

    @property
    def scale(self) -> int:
        """The scale factor."""
        return self.output_shape[1] // self.input_shape[1]

    def __call__(self, x: npt.ArrayLike) -> np.ndarray:
        """Returns the output image, float32, for `x`, float ``[N, H, W, C]`` in [0, 1].

        A size other than the exported one runs where every operator of the file allows it; each change
        of size costs a new allocation.

        Raises:
          InputError: `x` has another number of channels, values that are not finite, or a size that
            this file cannot take.
        """
        x = np.asarray(x, np.float32)
        channels = self.input_shape[-1]
        if x.ndim != 4 or x.shape[-1] != channels or not np.isfinite(x).all():
            raise InputError(
                f"the input of shape {x.shape} does not suit: the model takes finite values "
                f"[N, H, W, {channels}]."
            )
        codes = self.input.quantise(x) if self.input else x
        y = self._move_pixels(self.run(codes))
        return self.output.dequantise(y) if self.output else y

    def run(self, x: np.ndarray) -> np.ndarray:
        """Returns the file's own output for `x`, both in the types and the layout of the file.

        Raises:
          UnsupportedError: `x` has a size that this file cannot take, or an operator fails on it at a size
            other than the exported one.
          InputError: an operator fails on `x`.
        """
        y: np.ndarray = self._run("run", x)
        return y

    def time(self, x: np.ndarray, runs: int) -> list[float]:
        """Returns the seconds of each of some runs on `x`, in which nothing but the runtime works.

        Raises:
          UnsupportedError, InputError: as `run`.
        """
        seconds: list[float] = self._run("time", x, runs)
        return seconds

    def _run(self, method: str, x: np.ndarray, *args: Any) -> Any:
        self._resize(x.shape)
        try:
            return self._call(method, x, *args)
        except _REFUSALS as error:  # such as of a division by 0
            kind = InputError if x.shape == self.input_shape else UnsupportedError
            raise kind(f"LiteRT cannot run the model on this input: {_to_line(error)}") from error

    def read_tensors(self) -> list[np.ndarray]:
        """Returns what each operator wrote in the last `run`, in their order; needs `keep_tensors`."""
        (subgraph,) = read(self._content).subgraphs
        written = (int(index) for op in subgraph.operators for index in op.outputs)
        return [self._call("tensor", index) for index in written]

    def _move_pixels(self, y: np.ndarray) -> np.ndarray:
        """Does the depth-to-space operations that the file leaves to the host, and returns the image."""
        return move_pixels(y, self._host_blocks)

    def _resize(self, shape: tuple[int, ...]) -> None:
        if tuple(self._edges[0][0]["shape"]) == shape:
            return
        n, h, w, _ = shape
        _, exported_h, exported_w, _ = self.input_shape
        _, out_h, out_w, out_c = self.output_shape
        # Some operators hold a size of their own, and not all of them reject another.
        down, right = (length // math.prod(self._host_blocks) for length in (out_h, out_w))
        channels = out_c * math.prod(self._host_blocks) ** 2
        expected = (n, h * down // exported_h, w * right // exported_w, channels)
        found = None
        with contextlib.suppress(*_REFUSALS):
            self._call("resize", shape)
            self._edges = self._call("edges")
            found = tuple(self._edges[1][0]["shape"])
        if found != expected:
            self._call("resize", self.input_shape)
            self._edges = self._call("edges")
            raise UnsupportedError(
                f"the model cannot run at {h}×{w}: an operator in it is bound to the exported "
                f"{exported_h}×{exported_w}; export it at that size."
            )


def _read_quantisation(edge: dict[str, Any], what: str) -> Quantisation | None:
    dtype, scale = np.dtype(edge["dtype"]), edge["scale"]
    if dtype == np.float32:
        return None
    if dtype not in (np.int8, np.uint8, np.int16) or not (math.isfinite(scale) and scale > 0):
        raise InputError(
            f"{what} has pixels of {dtype} with a scale of {scale:g}: they must be float32, or codes of "
            "int8, uint8 or int16 with a scale above 0."
        )
    return Quantisation(dtype=dtype, scale=scale, zero_point=edge["zero_point"])


def _call_here(runtime: Runtime) -> Callable[..., Any]:
    return lambda method, *args: getattr(runtime, method)(*args)


def _downgrade_depth_to_space(data: bytes) -> bytes:
    """Returns the model with version 1 of DEPTH_TO_SPACE in place of version 2.

    Version 2 only adds int8, which the reference kernels compute; yet they are registered for version 1
    alone (ai-edge-litert 2.3).
    """
    schema = import_schema()
    model = read(data)
    for code in model.operatorCodes:
        if (code.builtinCode, code.version) == (schema.BuiltinOperator.DEPTH_TO_SPACE, 2):
            code.version = 1
    return pack(model)


def _to_line(error: Exception) -> str:
    return " ".join(str(error).split())
