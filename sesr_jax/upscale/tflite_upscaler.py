"""Upscaling by a .tflite file, for photos of any size: what the NPU will show.

    large = upscale_photo(from_tflite("sesr_m5_x2_int8.tflite"), photo)

The file runs at the size that it was exported for, so a photo is cut into tiles of just that size. Several
tiles run beside each other, each on one thread and in a process of its own.
"""

import functools
import os
import pathlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from sesr_jax.errors import InputError, to_printable
from sesr_jax.export import TFLiteModel
from sesr_jax.export.flatbuffer import (
    Operator,
    list_operators,
    macs,
    read,
    read_enum,
    read_metadata,
)
from sesr_jax.graph import Extent, Step, measure_extent_of_steps
from sesr_jax.ops import SPECS, Look, Looks, interpolation, spread_window, window
from sesr_jax.upscale.fingerprints import fingerprint_file
from sesr_jax.upscale.threads import count_cores
from sesr_jax.upscale.upscaler import Upscaler
from sesr_jax.upscale.value_range import check_codes

_LOCAL = ("QUANTIZE", "DEQUANTIZE", "CAST", "TANH")
"""Operators without an operation of ours whose output pixel reads that one pixel of each input."""

_MOVES = ("RESHAPE", "TRANSPOSE")
"""Operators that a depth_to_space may be written as, in files whose metadata say so."""


def from_tflite(path: str | os.PathLike[str]) -> Upscaler:
    """Returns the upscaler that runs the file `path`, float or INT8, and has its name.

    Raises:
      InputError: the file is missing or damaged, is no upscaler of one or three channels in [0, 1], or
        holds an operator whose receptive field is not known.
    """
    model = TFLiteModel(path, num_threads=count_cores())
    _, height, width, channels = model.input_shape
    if model.output_shape != (1, height * model.scale, width * model.scale, channels) or (
        channels not in (1, 3)
    ):
        if _is_channels_first(model.input_shape, model.output_shape):
            raise InputError(
                f"{os.fspath(path)} takes images channels first, {list(model.input_shape)}: it must take "
                "[N, H, W, C]; convert it to channels last."
            )
        raise InputError(
            f"{os.fspath(path)} maps {model.input_shape} to {model.output_shape}, and does not upscale "
            "one image in Y or RGB; export such a network."
        )
    for side, codes in (("input", model.input), ("output", model.output)):
        if codes is not None:
            check_codes(codes, path, side)
    content = read(path)
    moves = _MOVES if read_metadata(path).get("tail") == "transpose" else ()
    return Upscaler(
        name=to_printable(pathlib.Path(path).stem),
        scale=model.scale,
        channels=channels,
        function=model,
        extent=_find_extent(content, (*_LOCAL, *moves)),
        tile=(height, width),
        concurrent=_Copies(model).run,
        macs=sum(map(macs, list_operators(content))) / (height * width),
        fingerprint=functools.partial(fingerprint_file, os.path.abspath(path)),
    )


class _Copies:
    """Copies of a model on one thread each, of which each call takes one for itself.

    They are kept, since starting a process takes as long as some tiles; each takes about 50 MB.
    """

    def __init__(self, model: TFLiteModel) -> None:
        self._model = model
        self._idle: list[TFLiteModel] = []

    def run(self, x: Any) -> np.ndarray:
        """Returns the model's output for `x`."""
        try:
            model = self._idle.pop()
        except IndexError:
            model = self._model.copy(num_threads=1)
        y = model(x)
        self._idle.append(model)
        return y


def _is_channels_first(source: Sequence[int], target: Sequence[int]) -> bool:
    """Returns whether [N, C, H, W] would be an image that is upscaled."""
    sides = {large / small for small, large in zip(source[2:], target[2:], strict=True)}
    return source[1] == target[1] in (1, 3) and len(sides) == 1 and sides.pop().is_integer()


def _find_extent(model: Any, local: tuple[str, ...]) -> Extent:
    """Returns how far the model looks, where the operators `local` read one pixel each."""
    (subgraph,) = model.subgraphs
    source, target = (id(subgraph.tensors[i[0]]) for i in (subgraph.inputs, subgraph.outputs))

    def steps() -> Iterator[Step]:
        from_image = {source}
        for operator in list_operators(model):
            inputs, outputs = (
                [id(one) for one in side] for side in (operator.inputs, operator.outputs)
            )
            if from_image.intersection(inputs):
                from_image.update(outputs)
                looks = (Look(), Look()) if operator.name in local else _find_looks(operator)
                yield Step(name=operator.name, inputs=inputs, outputs=outputs, looks=looks)

    return measure_extent_of_steps(source, steps(), target)


def _find_looks(operator: Operator) -> Looks:
    """Returns which pixels of its input an operator reads for an output pixel, along height and width."""
    options, name = operator.options, operator.name
    match name:
        case "CONV_2D" | "DEPTHWISE_CONV_2D":
            apart = (options.dilationHFactor, options.dilationWFactor)
            taps = operator.inputs[1].shape[1:3]
            sides = [(int(n) - 1) * d + 1 for n, d in zip(taps, apart, strict=True)]
            return _find_window_looks(sides, options)
        case "MAX_POOL_2D" | "AVERAGE_POOL_2D":
            return _find_window_looks([options.filterHeight, options.filterWidth], options)
        case "TRANSPOSE_CONV":
            height, width = map(int, operator.inputs[1].shape[1:3])
            cut = _find_padding(options)
            return (
                spread_window(height, options.strideH, cut),
                spread_window(width, options.strideW, cut),
            )
        case "SPACE_TO_DEPTH":
            return (window(options.blockSize, options.blockSize),) * 2
        case "DEPTH_TO_SPACE":
            return (spread_window(options.blockSize, options.blockSize),) * 2
        case "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR" if not options.alignCorners:
            sizes = (tensor.shape[1:3] for tensor in (operator.inputs[0], operator.outputs[0]))
            down, right = (
                interpolation(
                    Fraction(int(before), int(after)),
                    half_pixel=options.halfPixelCenters,
                    nearest=name == "RESIZE_NEAREST_NEIGHBOR",
                )
                for before, after in zip(*sizes, strict=True)
            )
            return down, right
    from sesr_jax.targets import OPERATORS  # Only .tflite files need the table.

    spec = SPECS.get(OPERATORS.get(name, ""))
    if spec and spec.is_per_pixel:
        return Look(), Look()
    if spec and spec.kind == "statistics":
        return None
    raise InputError(
        f"the model holds {name}{' with align_corners' * name.startswith('RESIZE')}, whose receptive field "
        "is not known, so that no tile can equal the whole; export a network of convolutions and pointwise "
        "operators."
    )


def _find_window_looks(sides: Sequence[int], options: Any) -> Looks:
    """Returns the looks of an operator with windows of these sides, dilation included."""
    before = _find_padding(options)
    return (
        window(sides[0], int(options.strideH), before),
        window(sides[1], int(options.strideW), before),
    )


def _find_padding(options: Any) -> int | None:
    """Returns how many pixels are padded or cut off at the start; None for "SAME"."""
    return 0 if read_enum("Padding")[options.padding] == "VALID" else None
