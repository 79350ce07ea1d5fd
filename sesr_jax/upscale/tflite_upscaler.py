"""A .tflite file as an upscaler: what the chip will show, photos of any size included.

    large = upscale_photo(from_tflite("sesr_m5_x2_int8.tflite"), photo)

The file runs at the size that it was exported for, so a photo is cut into tiles of just that size.
"""

import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel
from sesr_jax.export.flatbuffer import Operator, enum_names, macs, operators, read, read_metadata
from sesr_jax.export.litert import Quantisation
from sesr_jax.graph import window_reach
from sesr_jax.upscale.reach import Step, halo_and_align, sight
from sesr_jax.upscale.upscaler import Upscaler

_LOCAL = (
    *("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "CONCATENATION", "QUANTIZE", "DEQUANTIZE", "CAST"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "PRELU", "LOGISTIC", "TANH"),
)
"""Operators whose output pixel reads that one pixel of each input."""

_SLACK = 0.1
"""By as much the codes of pixels may miss 0 and 1."""

_MOVES = ("RESHAPE", "TRANSPOSE")
"""What a depth_to_space may be written as, in files that say so."""


def from_tflite(path: str | os.PathLike[str]) -> Upscaler:
    """The model in `path`, float or INT8, named after its file.

    Raises:
      InputError: the file is missing or damaged, is no upscaler of one or three channels in [0, 1], or
        holds an operator whose receptive field is not known.
    """
    model = TFLiteModel(path)
    _, height, width, channels = model.input_shape
    if model.output_shape != (1, height * model.scale, width * model.scale, channels) or (
        channels not in (1, 3)
    ):
        raise InputError(
            f"{os.fspath(path)} maps {model.input_shape} to {model.output_shape}, which is no upscaling "
            "of one image in Y or RGB; export such a network."
        )
    for side, codes in (("input", model.input), ("output", model.output)):
        if codes is not None and not _are_pixels(codes):
            low, high = codes.limits
            raise InputError(
                f"{os.fspath(path)} has codes for an {side} from {low:g} to {high:g}, where images go from 0 "
                "to 1; export it with such a range, or in float."
            )
    local = _LOCAL + (_MOVES if read_metadata(path).get("tail") == "transpose" else ())
    content = read(path)
    radius, align = _geometry(content, local)
    return Upscaler(
        name=pathlib.Path(path).stem,
        scale=model.scale,
        channels=channels,
        function=model,
        halo=radius,
        align=align,
        tile=(height, width),
        macs=sum(map(macs, operators(content))) / (height * width),
    )


def _are_pixels(codes: Quantisation) -> bool:
    """Whether they are for values from 0 to 1, or, where they are symmetric, from -1 to 1."""
    low, high = codes.limits
    symmetric = codes.zero_point == 0 and low < 0
    return abs(high - 1) < _SLACK and (symmetric or abs(low) < _SLACK)


def _geometry(model: Any, local: tuple[str, ...]) -> tuple[int, int]:
    """The receptive radius in input pixels, and the multiple at which windows must start."""
    (subgraph,) = model.subgraphs
    source, target = (id(subgraph.tensors[i[0]]) for i in (subgraph.inputs, subgraph.outputs))

    def steps() -> Iterator[Step]:
        reading = {source}
        for op in operators(model):
            inputs, outputs = ([id(tensor) for tensor in side] for side in (op.inputs, op.outputs))
            if reading.intersection(inputs):
                reading.update(outputs)
                reach, factor = _reach(op, local)
                yield Step(inputs=inputs, outputs=outputs, reach=reach, factor=factor)

    return halo_and_align(sight(source, steps()), target)


def _reach(op: Operator, local: tuple[str, ...]) -> tuple[Fraction, Fraction]:
    """How far an output pixel reads, in pixels of the input, and how many of them its own step is."""
    one, options = Fraction(1), op.options
    match op.name:
        case "CONV_2D" | "DEPTHWISE_CONV_2D":
            apart = (options.dilationHFactor, options.dilationWFactor)
            window = [
                (int(n) - 1) * d + 1 for n, d in zip(op.inputs[1].shape[1:3], apart, strict=True)
            ]
        case "MAX_POOL_2D" | "AVERAGE_POOL_2D":
            window = [options.filterHeight, options.filterWidth]
        case "TRANSPOSE_CONV":
            sides = max(-(-int(n) // 2) for n in op.inputs[1].shape[1:3])
            stride = max(options.strideH, options.strideW)
            return Fraction(sides, stride), one / stride
        case "SPACE_TO_DEPTH":
            return Fraction(options.blockSize - 1), Fraction(options.blockSize)
        case "DEPTH_TO_SPACE":
            return Fraction(0), one / options.blockSize
        case "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR" if not options.alignCorners:
            before, after = (int(tensor.shape[1]) for tensor in (op.inputs[0], op.outputs[0]))
            return one, Fraction(before, after)
        case name if name in local:
            return Fraction(0), one
        case name:
            raise InputError(
                f"the model holds {name}{' with align_corners' * name.startswith('RESIZE')}, whose receptive "
                "field is not known, so that no tile can equal the whole; export a network of convolutions "
                "and pointwise operators."
            )
    strides = (int(options.strideH), int(options.strideW))
    # Without padding of its own, what stands before the image is a PAD's, which may be all on one side.
    padding = {"before": 0} if enum_names("Padding")[options.padding] == "VALID" else {}
    reach = max(window_reach(*axis, **padding) for axis in zip(window, strides, strict=True))
    return Fraction(reach), Fraction(max(strides))
