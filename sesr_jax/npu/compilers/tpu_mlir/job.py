"""What tpu-mlir needs to compile a network: an .onnx file, calibration images or ranges, commands."""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from sesr_jax.data import ImagePair, write_image
from sesr_jax.errors import InputError
from sesr_jax.export import CALIBRATION_IMAGES, trace_collapsed
from sesr_jax.export.onnx import to_onnx
from sesr_jax.files import make_folder, write_file
from sesr_jax.graph import Graph, measure_extent
from sesr_jax.metrics import choose_protocol
from sesr_jax.models.network import Network
from sesr_jax.npu.compilers.tpu_mlir.commands import (
    Method,
    find_precision,
    list_commands,
    make_script,
)
from sesr_jax.npu.compilers.tpu_mlir.shuffles import to_pixel_shuffles
from sesr_jax.npu.compilers.tpu_mlir.table import format_table, to_entries
from sesr_jax.quant import Range, calibrate, find_points
from sesr_jax.targets import Target

Source = Literal["compiler", "ours"]
"""Who finds the ranges of INT8 activations: tpu-mlir on the calibration images, or training or
`quant.calibrate`."""

_CALIBRATION, _SCRIPT = "calibration", "compile.sh"
_SIDE = 256  # of calibration images, whose whole network tpu-mlir holds in memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A network that is ready to be compiled.

    Attributes:
      network: collapsed.
      target: the chip, and what it computes with.
      name: the beginning of the files' names.
      size: height and width of the input.
      asymmetric: whether the codes of INT8 activations have zero points.
      graph: the network at `size`.
      model: its `onnx.ModelProto`, in the form that tpu-mlir compiles well.
      images: calibration images, uint8 ``[h, w, C]`` of one size; none where nothing is calibrated.
      method: how tpu-mlir finds ranges on them.
      source: who finds the ranges.
      ranges: ours by group of tensors, for the integer reference; None where the target computes in float.
    """

    network: Network
    target: Target
    name: str
    size: tuple[int, int]
    asymmetric: bool
    graph: Graph
    model: Any
    images: tuple[np.ndarray, ...]
    method: Method
    source: Source
    ranges: dict[str, Range] | None

    @property
    def table(self) -> str:
        """The name of the calibration table's file."""
        return f"{self.name}_ranges"

    def find_halo(self) -> int:
        """Returns the pixels that pieces of an image share: as far as the network looks, if a piece has them.

        At most they are a quarter of its shorter side, so that it keeps half of itself.
        """
        halo, most = measure_extent(self.graph).halo, min(self.size) // 4
        return most if halo is None else min(halo, most)

    def list_commands(
        self, size: tuple[int, int] | None = None, *, calibrated: bool = False
    ) -> tuple[tuple[str, ...], ...]:
        """Returns the commands that compile the network at `size`, by default its own.

        Args:
          size: height and width of the input.
          calibrated: whether the calibration table is there already.
        """
        return list_commands(
            f"{self.name}.onnx",
            self.target,
            size=size or self.size,
            channels=self.network.channels,
            asymmetric=self.asymmetric,
            calibration=_CALIBRATION,
            calibration_size=self.images[0].shape[:2] if self.images else None,
            images=len(self.images),
            method=self.method,
            table=self.table if calibrated or self.source == "ours" else None,
        )

    def write(self, folder: pathlib.Path) -> None:
        """Writes the files from which the commands start, and the commands, into `folder`.

        Raises:
          InputError: a file cannot be written.
        """
        make_folder(folder)
        write_file(folder / f"{self.name}.onnx", self.model.SerializeToString())
        write_file(folder / _SCRIPT, make_script(self.list_commands()))
        if self.source == "ours" and self.ranges is not None:
            of_tensor = find_points(self.graph).group
            by_tensor = {name: self.ranges[key] for name, key in of_tensor.items()}
            write_file(folder / self.table, format_table(to_entries(self.model, by_tensor)))
        elif self.images:
            make_folder(folder / _CALIBRATION)
            for i, image in enumerate(self.images):
                pixels = image[..., 0] if image.shape[-1] == 1 else image
                write_image(folder / _CALIBRATION / f"{i:03}.png", pixels)


def make_job(
    network: Network,
    target: Target,
    *,
    size: tuple[int, int],
    asymmetric: bool = False,
    calibration: Sequence[ImagePair] | None = None,
    source: Source = "compiler",
    method: Method = "kl",
) -> Job:
    """Prepares `network` for tpu-mlir.

    Args:
      network: the trained network.
      target: one whose compiler is tpu-mlir.
      size: height and width of the input.
      asymmetric: whether the codes of INT8 activations have zero points.
      calibration: images, on the low resolutions of the first 32 of which ranges are measured; None for
        those of the training, which `source` "ours" alone can take.
      source: who finds the ranges.
      method: how tpu-mlir finds ranges.

    Raises:
      InputError: tpu-mlir is not the target's compiler; INT8 without calibration images or ranges; asymmetric
        floats; or as `to_onnx`.
    """
    precision = find_precision(target)
    graph = trace_collapsed(network, size)
    images: tuple[np.ndarray, ...] = ()
    ranges = None
    if precision == "int8":
        if calibration is not None:
            first = itertools.islice(calibration, CALIBRATION_IMAGES)
            pixels = [make_pixels(network, image) for image in first]
            if source == "compiler":
                images = crop_alike(pixels, (_SIDE, _SIDE), measure_extent(graph).align)
            ranges = calibrate(graph, (image[None] / np.float32(255) for image in pixels))
        elif source == "compiler":
            raise InputError(
                f"{target.name} computes with INT8 codes, whose ranges tpu-mlir finds on images: name a "
                "folder of them by --calibrate."
            )
        elif network.ranges is None:
            raise InputError(
                f"{network.name} was trained without ranges: give --calibrate a folder."
            )
        else:
            ranges = {**network.ranges, **find_points(graph).fixed}
    word = precision + "_asymmetric" * asymmetric
    job = Job(
        network=network,
        target=target,
        name=f"{network.name}_x{network.scale}_{word}",
        size=size,
        asymmetric=asymmetric,
        graph=graph,
        model=to_pixel_shuffles(to_onnx(graph)),
        images=images,
        method=method,
        source=source,
        ranges=ranges,
    )
    job.list_commands()  # refuses what does not fit together
    return job


def make_pixels(network: Network, image: ImagePair) -> np.ndarray:
    """Returns the low resolution of an image as the network's input, uint8 ``[h, w, C]``."""
    low, _ = choose_protocol(network.channels).pair(image, network.scale)
    return np.rint(np.clip(low, 0, 1) * 255).astype(np.uint8)


def crop_alike(
    images: Sequence[np.ndarray], most: tuple[int, int], align: int
) -> tuple[np.ndarray, ...]:
    """Returns the centres of images ``[h, w, C]``, of the largest size that fits into each and `most`.

    Args:
      images: of any sizes.
      most: the largest height and width.
      align: what height and width must be multiples of.

    Raises:
      InputError: an image is smaller than `align`.
    """
    sides = [min([limit, *(image.shape[i] for image in images)]) for i, limit in enumerate(most)]
    height, width = (side - side % align for side in sides)
    if not height or not width:
        raise InputError(
            f"an image of the calibration is smaller than {align} pixels; leave it out."
        )
    return tuple(crop_centre(image, (height, width)) for image in images)


def crop_centre(image: np.ndarray, size: tuple[int, int], scale: int = 1) -> np.ndarray:
    """Returns the centre of an image ``[scale · h, scale · w, C]``, of `size` (height, width) times `scale`.

    It begins at a multiple of `scale`, so that crops of low and high resolution show the same.
    """
    rows, columns = (
        slice((n // scale - side) // 2 * scale, ((n // scale - side) // 2 + side) * scale)
        for n, side in zip(image.shape[:2], size, strict=True)
    )
    return image[rows, columns]
