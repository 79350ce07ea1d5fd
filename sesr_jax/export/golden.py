"""The golden pair of a TFLite file: an input, and the output that the file must give for it, as raw codes.

    write_golden("m5_int8.tflite", golden_path("m5_int8.tflite"))
    for replay in replay_golden("m5_int8.tflite"): print(replay)

It stands beside the file as ``m5_int8.golden.npz``: the arrays "input" and "output", and "about", JSON that
names the kernel set and the LiteRT that computed it. Whoever runs the file on another machine, runtime or
chip can compare its output with these codes. The input is noise with the spectrum of photos.
"""

import dataclasses
import io
import json
import os
import pathlib

import numpy as np

from sesr_jax.errors import InputError, MissingError, UnsupportedError
from sesr_jax.export.flatbuffer import Source, read_content
from sesr_jax.export.litert import KERNELS, Kernels, TFLiteModel
from sesr_jax.files import write_file
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.schema import build
from sesr_jax.untrusted import parse_json, read_npz, refuse_damaged

_KERNELS: Kernels = "XNNPACK"
_FLOAT_TOLERANCE = 1e-5  # instruction sets sum in different orders


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
    """

    kernels: Kernels
    golden: bool
    difference: float | None = None
    share: float = 0.0
    failure: str = ""

    @property
    def holds(self) -> bool:
        """Whether the output equals the golden one: codes exactly, floats to 1e-5."""
        return self.difference is not None and self.difference <= _FLOAT_TOLERANCE


def golden_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of the golden pair of the TFLite file `path`."""
    return pathlib.Path(path).with_suffix(".golden.npz")


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

    given, output = _run_golden_input(source)
    about = {"kernels": _KERNELS, "runtime": f"LiteRT {ai_edge_litert.__version__}"}
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
      source: the TFLite file.
      golden: its golden pair; by default the one beside it.

    Raises:
      InputError: there is no pair or no file, or it is damaged, or the two do not belong together.
    """
    read_content(source)  # a missing file is reported before a missing pair
    pair = _read_pair(golden or golden_path(source))
    results = []
    for kernels in KERNELS:
        from_here = kernels == pair.about.kernels
        try:
            model = TFLiteModel(source, kernels=kernels)
        except UnsupportedError as error:
            if from_here:
                raise
            results.append(Replay(kernels=kernels, golden=False, failure=str(error)))
            continue
        found = _run_checked(model, pair.input, pair.output)
        apart = np.abs(found.astype(np.float64) - pair.output)
        difference, share = float(apart.max()), float(np.mean(apart > 0))
        results.append(
            Replay(kernels=kernels, golden=from_here, difference=difference, share=share)
        )
    return results


def _run_checked(model: TFLiteModel, given: np.ndarray, expected: np.ndarray) -> np.ndarray:
    dtype = model.input.dtype if model.input else np.dtype(np.float32)
    if (given.shape, given.dtype) != (model.input_shape, dtype):
        raise InputError(
            f"the golden input is {given.dtype}{list(given.shape)} and the file takes "
            f"{dtype}{list(model.input_shape)}: they do not belong together; export the file again."
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
    kernels: Kernels
    runtime: str = ""


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
