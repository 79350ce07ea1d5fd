"""The golden pair of a TFLite or ONNX file: an input, and the output that the file must give for it.

    write_golden("m5_int8.tflite", golden_path("m5_int8.tflite"))
    for replay in replay_golden("m5_int8.tflite"): print(replay)

It stands beside the file, as ``m5_int8.golden.npz`` or, of an ONNX file, ``m5_int8.onnx.golden.npz``: the
arrays "input" and "output", as raw codes and in the layout of the file, and "about", JSON that names the
kernel set and the runtime that computed it. Whoever runs the file on another machine, runtime or chip can
compare its output with these codes. The input is noise with the spectrum of photos.
"""

import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from sesr_jax.errors import InputError, MissingError, UnsupportedError
from sesr_jax.export.flatbuffer import Source, read_content
from sesr_jax.export.litert import KERNELS, Kernels, Quantisation, TFLiteModel
from sesr_jax.export.onnx_runtime import ONNX_KERNELS, OnnxKernels, OnnxModel
from sesr_jax.files import write_file
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.schema import NOT_NEGATIVE, build
from sesr_jax.untrusted import check_regular, parse_json, read_npz, refuse_damaged

_KERNELS: Kernels = "XNNPACK"
_ONNX_KERNELS: OnnxKernels = "fused"
_FLOAT_TOLERANCE = 1e-5  # instruction sets sum in different orders
_HALF_TOLERANCE = 2.0**-8
"""That of float16 activations, which some CPUs round at every layer and others at few."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """The golden input run on one kernel set.

    Attributes:
      kernels: the kernel set.
      golden: whether the golden output came from that set.
      difference: the largest difference from the golden output, in codes, or in values of a float file; None
        where the set cannot run the file.
      share: the share of the output's elements that differ at all.
      failure: why the set cannot run the file.
      tolerance: the largest difference of floats that instruction sets explain.
    """

    kernels: Kernels | OnnxKernels
    golden: bool
    difference: float | None = None
    share: float = 0.0
    failure: str = ""
    tolerance: float = _FLOAT_TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether the output equals the golden one: codes exactly, floats within the tolerance."""
        return self.difference is not None and self.difference <= self.tolerance


def golden_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of the golden pair of the file `path`.

    That of an ONNX file keeps the suffix, since the TFLite file of the same name may stand beside it.
    """
    path = pathlib.Path(path)
    return path.with_suffix(".onnx.golden.npz" if _is_onnx(path) else ".golden.npz")


def write_golden(source: Source, path: str | os.PathLike[str]) -> None:
    """Writes the golden pair of a TFLite file to `path`, whole or not at all; see `make_golden`.

    Raises:
      InputError: LiteRT cannot load the file, or the pair cannot be written.
    """
    write_file(path, make_golden(source))


def make_golden(source: Source) -> bytes:
    """Runs the TFLite file once on the golden input, and returns the pair as the content of an .npz file.

    Raises:
      InputError: LiteRT cannot load the file.
    """
    import ai_edge_litert

    about = {"kernels": _KERNELS, "runtime": f"LiteRT {ai_edge_litert.__version__}"}
    return _pack(*_run_golden_input(source), about)


def make_onnx_golden(content: bytes, shape: Sequence[int], *, half: bool) -> bytes:
    """Runs an ONNX file once on the golden input, and returns the pair as the content of an .npz file.

    Args:
      content: the file's content.
      shape: the shape of the input, ``[N, H, W, C]``; the pair has ``[N, C, H, W]``.
      half: whether activations are float16.

    Raises:
      InputError: ONNX Runtime does not run the file.
    """
    import onnxruntime

    model = OnnxModel(content, kernels=_ONNX_KERNELS)
    image, dtype = make_photo_noise(shape), model.inputs[0].dtype
    if dtype is not None and dtype.kind in "iu":
        pixels = Quantisation(dtype=dtype, scale=1 / 255, zero_point=int(np.iinfo(dtype).min))
        image = pixels.quantise(image)
    given = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
    about = {"kernels": _ONNX_KERNELS, "runtime": f"ONNX Runtime {onnxruntime.__version__}"}
    return _pack(given, model.run(given), about | ({"tolerance": _HALF_TOLERANCE} if half else {}))


def _pack(given: np.ndarray, output: np.ndarray, about: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, input=given, output=output, about=json.dumps(about))
    return file.getvalue()


def measure_difference(source: Source, other: Source) -> float:
    """Returns the largest difference between the outputs of two files for the golden input.

    It is in codes, or in values of float files.
    """
    (_, output), (_, second) = _run_golden_input(source), _run_golden_input(other)
    return float(np.abs(output.astype(np.float64) - second).max())


def _run_golden_input(source: Source) -> tuple[np.ndarray, np.ndarray]:
    model = TFLiteModel(source, kernels=_KERNELS)
    image = make_photo_noise(model.input_shape)
    given = model.input.quantise(image) if model.input else image
    return given, model.run(given)


def replay_golden(
    source: str | os.PathLike[str], golden: str | os.PathLike[str] | None = None
) -> list[Replay]:
    """Runs the golden input on each kernel set, and compares the outputs with the golden one.

    Args:
      source: the TFLite file, or the ONNX file, whose name ends in .onnx.
      golden: its golden pair; by default the one beside it.

    Raises:
      InputError: there is no pair or no file, or it is damaged, or the two do not belong together.
    """
    # A missing file is reported before a missing pair.
    (check_regular if _is_onnx(source) else read_content)(source)
    pair = _read_pair(golden or golden_path(source))
    sets: Iterable[Kernels | OnnxKernels] = ONNX_KERNELS if _is_onnx(source) else KERNELS
    if pair.about.kernels not in sets:
        raise InputError(
            f"the golden pair was computed by the {pair.about.kernels} kernels, which do not run "
            f"{os.fspath(source)}: they do not belong together; export the file again."
        )
    results = []
    for kernels in sets:
        from_here = kernels == pair.about.kernels
        try:
            model = _load(source, kernels)
        except UnsupportedError as error:
            if from_here:
                raise
            results.append(Replay(kernels=kernels, golden=False, failure=str(error)))
            continue
        found = _run_checked(model, pair.input, pair.output)
        apart = np.abs(found.astype(np.float64) - pair.output)
        results.append(
            Replay(
                kernels=kernels,
                golden=from_here,
                difference=float(apart.max()),
                share=float(np.mean(apart > 0)),
                tolerance=pair.about.tolerance,
            )
        )
    return results


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """A file that a kernel set has loaded; None stands for a side of any length."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    run: Callable[[np.ndarray], np.ndarray]


def _load(source: str | os.PathLike[str], kernels: Any) -> _Loaded:
    if _is_onnx(source):
        return _load_onnx(source, kernels)
    model = TFLiteModel(source, kernels=kernels)
    dtype = model.input.dtype if model.input else np.dtype(np.float32)
    return _Loaded(model.input_shape, dtype, model.run)


def _load_onnx(source: str | os.PathLike[str], kernels: OnnxKernels) -> _Loaded:
    model = OnnxModel(source, kernels=kernels)
    dtype = model.inputs[0].dtype if len(model.inputs) == len(model.outputs) == 1 else None
    if dtype is None:
        sides = (", ".join(map(str, side)) for side in (model.inputs, model.outputs))
        raise InputError(
            f"{os.fspath(source)} maps {' to '.join(sides)}: it must map one tensor of floats or 8 bits to "
            "another."
        )
    shape = (side if isinstance(side, int) else None for side in model.inputs[0].shape)
    return _Loaded(tuple(shape), dtype, model.run)


def _is_onnx(path: str | os.PathLike[str]) -> bool:
    return pathlib.Path(path).suffix == ".onnx"


def _run_checked(model: _Loaded, given: np.ndarray, expected: np.ndarray) -> np.ndarray:
    fits = len(given.shape) == len(model.shape) and all(
        side in (None, length) for side, length in zip(model.shape, given.shape, strict=True)
    )
    if given.dtype != model.dtype or not fits:
        shown = ", ".join("any" if side is None else str(side) for side in model.shape)
        raise InputError(
            f"the golden input is {given.dtype}{list(given.shape)} and the file takes "
            f"{model.dtype}[{shown}]: they do not belong together; export the file again."
        )
    found = model.run(given)
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        raise InputError(
            f"the golden output is {expected.dtype}{list(expected.shape)} and the file gives "
            f"{found.dtype}{list(found.shape)}: they do not belong together; export the file again."
        )
    return found


@dataclasses.dataclass(frozen=True)
class _About:
    kernels: Kernels | OnnxKernels
    runtime: str = ""
    tolerance: Annotated[float, NOT_NEGATIVE] = _FLOAT_TOLERANCE


@dataclasses.dataclass(frozen=True)
class _Pair:
    about: _About
    input: np.ndarray
    output: np.ndarray


def _read_pair(path: str | os.PathLike[str]) -> _Pair:
    what = f"the golden pair {os.fspath(path)!r}"
    try:
        arrays = read_npz(path)
    except MissingError as error:
        raise MissingError(
            f"cannot read {what}: it is written beside every export, so export the file again."
        ) from error
    with refuse_damaged(f"{what} is damaged"):
        about = parse_json(str(arrays.get("about", "")), f"what {what} says about itself")
    pair: _Pair = build(_Pair, {**arrays, "about": about}, what)
    for name, array in (("input", pair.input), ("output", pair.output)):
        if array.dtype.kind not in "iuf":
            raise InputError(f"{what} has an {name} of {array.dtype}: it must be of numbers.")
    return pair
