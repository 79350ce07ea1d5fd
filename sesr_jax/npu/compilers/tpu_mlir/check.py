"""Runs a compiled file on tpu-mlir's simulator of the chip, and compares what it gives.

The file of the wanted size would take the simulator minutes for each image. A second file is compiled at
the size of the check, from the same network and the same calibration table, so that its weights, codes and
ranges are the same.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from sesr_jax.data import ImagePair
from sesr_jax.errors import InputError, require_extra
from sesr_jax.metrics import choose_protocol, psnr
from sesr_jax.npu.compilers.tpu_mlir.job import Job, crop_centre, make_pixels
from sesr_jax.npu.compilers.tpu_mlir.toolchain import Toolchain
from sesr_jax.quant import integer
from sesr_jax.quant.ranges import IMAGE
from sesr_jax.report import format_table

CHECK_SIZE = (64, 64)
CHECK_IMAGES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What one image shows. All outputs are clipped to [0, 1]; PSNR is in dB, over all channels.

    Attributes:
      name: of the image, of whose low resolution the centre is taken.
      compiled_to_onnx: PSNR between the compiled file's output and the float .onnx file's.
      reference_to_onnx: the same of our integer reference; None where nothing is INT8.
      compiled_to_reference: PSNR between the two.
      onnx: PSNR of the .onnx file's output to the high resolution, by the network's protocol.
      compiled: the same of the compiled file.
      reference: the same of our integer reference.
    """

    name: str
    compiled_to_onnx: float
    reference_to_onnx: float | None
    compiled_to_reference: float | None
    onnx: float
    compiled: float
    reference: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop:
    """The centre of an image of the check.

    Attributes:
      name: of the image.
      low: of its low resolution, float32 ``[1, h, w, C]`` in steps of 1/255.
      high: of its high resolution, uint8 ``[H, W, C]``.
    """

    name: str
    low: np.ndarray
    high: np.ndarray


def crop_centres(job: Job, size: tuple[int, int], images: Sequence[ImagePair]) -> tuple[Crop, ...]:
    """Returns the centres, of `size` (height, width) in low resolution, of the first `CHECK_IMAGES` images.

    Raises:
      InputError: an image is smaller.
    """
    protocol, scale = choose_protocol(job.network.channels), job.network.scale
    found = []
    for image in itertools.islice(images, CHECK_IMAGES):
        pixels = make_pixels(job.network, image)
        _, high = protocol.pair(image, scale)
        if pixels.shape[0] < size[0] or pixels.shape[1] < size[1]:
            raise InputError(
                f"the low resolution of {image.name} has {pixels.shape[1]}×{pixels.shape[0]} pixels, fewer "
                f"than the {size[1]}×{size[0]} of the check."
            )
        low = crop_centre(pixels, size)[None] / np.float32(255)
        found.append(Crop(name=image.name, low=low, high=crop_centre(high, size, scale)))
    return tuple(found)


def check_on_simulator(job: Job, toolchain: Toolchain, bmodel: pathlib.Path, crop: Crop) -> Check:
    """Compares a compiled file with the .onnx file and with our integer reference.

    Args:
      job: what was compiled.
      toolchain: where tpu-mlir is.
      bmodel: the compiled file, for inputs of the crop's size; its folder is used for the simulator's files.
      crop: the image.

    Raises:
      InputError: the simulator fails.
    """
    with require_extra("export", "running .onnx files"):
        import onnxruntime

    session = onnxruntime.InferenceSession(
        job.model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, {job.graph.input: crop.low.transpose(0, 3, 1, 2)})
    outputs = {
        "onnx": _to_image(output),
        "compiled": _to_image(_simulate(toolchain, bmodel, job.graph.input, crop.low)),
    }
    if job.ranges is not None:
        codes = integer.run(job.graph, job.ranges, integer.quantise(crop.low, IMAGE))
        outputs["reference"] = np.clip(np.asarray(integer.dequantise(codes, IMAGE))[0], 0, 1)

    def compare(first: str, second: str) -> float | None:
        return psnr(outputs[first], outputs[second]) if {first, second} <= outputs.keys() else None

    protocol = choose_protocol(job.network.channels)
    scores = {
        name: protocol.score(image, crop.high, job.network.scale)["psnr"]
        for name, image in outputs.items()
    }
    return Check(
        name=crop.name,
        compiled_to_onnx=psnr(outputs["compiled"], outputs["onnx"]),
        reference_to_onnx=compare("reference", "onnx"),
        compiled_to_reference=compare("compiled", "reference"),
        onnx=scores["onnx"],
        compiled=scores["compiled"],
        reference=scores.get("reference"),
    )


def format_checks(checks: Sequence[Check]) -> str:
    """Returns a table of the checks, with their means."""
    fields = [field.name for field in dataclasses.fields(Check)][1:]
    rows = [[check.name, *(_format(getattr(check, name)) for name in fields)] for check in checks]
    if len(checks) > 1:
        columns = [[getattr(check, name) for check in checks] for name in fields]
        means = [None if None in column else float(np.mean(column)) for column in columns]
        rows.append(["mean", *map(_format, means)])
    header = ["dB", "compiled : onnx", "ours : onnx", "compiled : ours"]
    return format_table(rows, [*header, "onnx : photo", "compiled : photo", "ours : photo"])


def _simulate(toolchain: Toolchain, bmodel: pathlib.Path, name: str, x: np.ndarray) -> np.ndarray:
    """Returns what a compiled file gives on the simulator, ``[1, C, H, W]``, for `x`, ``[1, h, w, C]``."""
    folder = bmodel.parent
    arrays: dict[str, Any] = {name: x.transpose(0, 3, 1, 2)}
    np.savez(folder / "input.npz", **arrays)
    command = ("model_runner.py", "--input", "input.npz", "--model", bmodel.name)
    toolchain.run((*command, "--output", "output.npz"), folder)
    with np.load(folder / "output.npz", allow_pickle=False) as file:
        (output,) = file.values()
    return output.astype(np.float32)


def _to_image(output: np.ndarray) -> np.ndarray:
    return np.clip(output[0].transpose(1, 2, 0), 0, 1)


def _format(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
