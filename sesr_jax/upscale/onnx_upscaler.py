"""Upscaling by an .onnx file, float or of QDQ codes, of ours or from elsewhere; ONNX Runtime runs it.

    large = upscale_photo(from_onnx("sesr_m5_x2.onnx"), photo)

The file maps one image ``[N, C, H, W]`` to a larger one, of float32 or float16 in [0, 1], or of codes. What
these stand for is told by the DequantizeLinear that reads the input and the QuantizeLinear that writes the
output; uint8 without such goes from 0 to 255. Where the file holds its own H and W, a photo is cut into tiles
of just that size.
"""

import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any

import numpy as np

from sesr_jax.errors import InputError, UnsupportedError, require_extra, to_printable
from sesr_jax.export.litert import Quantisation
from sesr_jax.export.onnx_runtime import OnnxEdge, OnnxModel
from sesr_jax.graph import (
    Distances,
    Step,
    measure_extent_of_steps,
    measure_pixel_distances,
    move_pixels,
)
from sesr_jax.ops import SPECS, Look, Looks, interpolation, spread_window, window
from sesr_jax.schema import POSITIVE, build
from sesr_jax.untrusted import parse_json, refuse_damaged
from sesr_jax.upscale.fingerprints import fingerprint_file
from sesr_jax.upscale.upscaler import Upscaler
from sesr_jax.upscale.value_range import check_codes

_OPERATIONS = {
    "Add": "add",
    "Clip": "clip",
    "Concat": "concat",
    "Div": "mul",
    "GlobalAveragePool": "mean",
    "LeakyRelu": "leaky_relu",
    "Max": "clip",
    "Min": "clip",
    "Mul": "mul",
    "PRelu": "prelu",
    "ReduceMean": "mean",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Sub": "add",
}
"""The operation that looks as an operator does, for those whose attributes do not matter."""

_LOCAL = ("Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Tanh")
"""Other operators whose output pixel reads that one pixel of each input."""

_TILED = (b"half_pixel", b"pytorch_half_pixel", b"asymmetric")
"""Ways of resizing in which a pixel's place does not depend on the image's size."""

_KEEP_SHAPE = ("Cast", "DequantizeLinear", "Identity")


@dataclasses.dataclass(frozen=True)
class _Pixels:
    """What a file's images are made of: floats in [0, 1], or codes."""

    dtype: np.dtype[Any]
    codes: Quantisation | None

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Returns an image for the file, of a float image in [0, 1]."""
        return self.codes.quantise(x) if self.codes else x.astype(self.dtype)

    def decode(self, y: np.ndarray) -> np.ndarray:
        """Returns the float32 image for one of the file's."""
        return self.codes.dequantise(y) if self.codes else y.astype(np.float32)


def from_onnx(path: str | os.PathLike[str]) -> Upscaler:
    """Returns the upscaler that runs the file `path`, and has its name.

    Raises:
      InputError: the file is missing or damaged, is no upscaler of one or three channels, or holds an
        operator whose receptive field is not known; ONNX Runtime is not installed.
    """
    session = OnnxModel(path)
    what = os.fspath(path)
    with require_extra("export", f"running {what}"):
        import onnx
    with refuse_damaged(f"{what} is no whole ONNX file"):
        model = onnx.load(path)
    with refuse_damaged(f"{what} holds operators that cannot be read"):
        return _describe(path, model, session)


def _describe(path: str | os.PathLike[str], model: Any, session: OnnxModel) -> Upscaler:
    """Returns the upscaler that runs `session`, by what the file says of itself."""
    sources, targets, graph = session.inputs, session.outputs, model.graph
    channels, tile = _read_image_shape(path, sources, targets)
    pixels = _find_pixels(path, graph, sources[0], "input", "DequantizeLinear")
    large = _find_pixels(path, graph, targets[0], "output", "QuantizeLinear")
    shapes = _find_constant_shapes(graph)
    source, target = sources[0].name, targets[0].name
    steps = list(_list_steps(path, graph, shapes, source))
    distances = [measure_pixel_distances(source, steps, axis) for axis in (0, 1)]
    if target not in distances[0]:
        raise InputError(
            f"{os.fspath(path)} gives {target}, which does not depend on the image; export an "
            "upscaling network."
        )
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    what = f"host_blocks in the metadata of {os.fspath(path)}"
    blocks: tuple[int, ...] = build(
        tuple[Annotated[int, POSITIVE], ...],
        parse_json(metadata.get("host_blocks", "[]"), what),
        what,
    )
    scale = math.prod(blocks) / (distances[0][target] or Fraction(1))
    if scale.denominator != 1:
        raise InputError(f"{os.fspath(path)} makes images ×{scale}; export an upscaling network.")
    return Upscaler(
        name=to_printable(pathlib.Path(path).stem),
        scale=int(scale),
        channels=channels,
        function=_make_function(path, session, (pixels, large), tile, int(scale), blocks),
        extent=measure_extent_of_steps(source, steps, target),
        tile=tile,
        macs=_macs(graph, shapes, distances),
        fingerprint=functools.partial(fingerprint_file, os.path.abspath(path)),
    )


def _read_image_shape(
    path: str | os.PathLike[str], sources: Sequence[OnnxEdge], targets: Sequence[OnnxEdge]
) -> tuple[int, tuple[int, int] | None]:
    """Returns the channels of the file's image, and its height and width where the file fixes them."""
    shapes = [value.shape for value in (*sources, *targets)]
    known = all(value.dtype is not None for value in (*sources, *targets))
    if len(sources) != 1 or len(targets) != 1 or not known or len(shapes[0]) != 4 or (
        shapes[0][1] not in (1, 3)
    ):  # fmt: skip
        shown = " to ".join(map(str, (*sources, *targets)))
        raise InputError(
            f"{os.fspath(path)} maps {shown}: it must map one image [N, C, H, W] of floats or 8 bits, in Y "
            "or RGB, to one; export such a network."
        )
    batch, channels, *size = shapes[0]
    if isinstance(batch, int) and batch != 1:
        raise InputError(
            f"{os.fspath(path)} takes {batch} images at once: it must take one, or any number."
        )
    fixed = [isinstance(n, int) for n in size]
    if fixed[0] != fixed[1]:
        raise InputError(
            f"{os.fspath(path)} fixes one of an image's sides and not the other, {size}: it must fix both or "
            "none."
        )
    if any(n < 1 for n in size if isinstance(n, int)):
        raise InputError(f"{os.fspath(path)} takes images of {size}: its sides must be 1 or more.")
    return channels, tuple(size) if all(fixed) else None


def _find_pixels(
    path: str | os.PathLike[str], graph: Any, value: OnnxEdge, side: str, op_type: str
) -> _Pixels:
    """Returns what the images of the file's input or output are made of, next to which `op_type` tells codes.

    Raises:
      InputError: the file does not tell what its codes stand for, or they are not from 0 to 1.
    """
    import onnx

    dtype = value.dtype
    assert dtype is not None
    if dtype.kind == "f":
        return _Pixels(dtype, None)
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        tensors = node.input if side == "input" else node.output
        if node.op_type == op_type and value.name == tensors[0]:
            meaning = [constants[name] for name in node.input[1:] if name in constants]
            if len(meaning) != len(node.input[1:]) or any(one.size != 1 for one in meaning):
                continue
            scale, zero_point = (*(one.item() for one in meaning), 0)[:2]
            codes = Quantisation(dtype=dtype, scale=float(scale), zero_point=int(zero_point))
            if dtype == np.uint8 and codes.limits == (0, 255):
                break
            check_codes(codes, path, side)
            return _Pixels(dtype, codes)
    if dtype != np.uint8:
        raise InputError(
            f"{os.fspath(path)} does not tell what its {side} of int8 stands for: there must be a {op_type} "
            "beside it; export it so, or with uint8."
        )
    return _Pixels(dtype, Quantisation(dtype=dtype, scale=1 / 255, zero_point=0))


def _make_function(
    path: str | os.PathLike[str],
    session: OnnxModel,
    pixels: tuple[_Pixels, _Pixels],
    tile: tuple[int, int] | None,
    scale: int,
    blocks: Sequence[int],
) -> Callable[[Any], np.ndarray]:
    def function(x: Any) -> np.ndarray:
        x = np.asarray(x, np.float32)
        n, height, width, channels = x.shape
        if tile is not None and (height, width) != tile:
            raise UnsupportedError(f"the model takes images of {tile[1]}×{tile[0]} alone.")
        y = session.run(pixels[0].encode(x).transpose(0, 3, 1, 2))
        large = (n, scale * height, scale * width, channels)
        depth = math.prod(blocks) ** 2
        if y.shape != (n, channels * depth, *(side // math.prod(blocks) for side in large[1:3])):
            raise InputError(
                f"{os.fspath(path)} makes {list(y.shape)} of {[n, channels, height, width]}, which is no "
                f"image ×{scale}; export an upscaling network."
            )
        return move_pixels(pixels[1].decode(y).transpose(0, 2, 3, 1), blocks)

    return function


def _find_constant_shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a graph's constants, and of what is computed from one of them alone."""
    shapes = {value.name: tuple(value.dims) for value in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for tensor in (a.t for a in node.attribute if a.name == "value"):
                shapes[node.output[0]] = tuple(tensor.dims)
        elif node.op_type in _KEEP_SHAPE and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    return shapes


def _list_steps(
    path: str | os.PathLike[str], graph: Any, shapes: Mapping[str, tuple[int, ...]], image: str
) -> Iterator[Step]:
    from_image = {image}
    constants = {value.name: value for value in graph.initializer}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise InputError(
                f"{os.fspath(path)} holds {node.op_type} of {node.domain}: all operators must be ONNX's own."
            )
        if from_image.intersection(node.input):
            from_image.update(node.output)
            looks = _find_looks(path, node, shapes, constants)
            yield Step(name=node.op_type, inputs=node.input, outputs=node.output, looks=looks)


def _find_looks(
    path: str | os.PathLike[str],
    node: Any,
    shapes: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Any],
) -> Looks:
    """Returns which pixels of its input an operator reads for an output pixel, along height and width."""
    import onnx

    attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    name = node.op_type
    match name:
        case "Conv" | "ConvTranspose" if node.input[1] in shapes:
            sides = zip(shapes[node.input[1]][2:], attrs.get("dilations", (1, 1)), strict=True)
            make = window if name == "Conv" else spread_window
            return _find_window_looks(
                make, [(side - 1) * apart + 1 for side, apart in sides], attrs
            )
        case "MaxPool" | "AveragePool":
            return _find_window_looks(window, attrs["kernel_shape"], attrs)
        case "DepthToSpace":
            return (spread_window(attrs["blocksize"], attrs["blocksize"]),) * 2
        case "SpaceToDepth":
            return (window(attrs["blocksize"], attrs["blocksize"]),) * 2
        case "Resize" if (
            len(node.input) > 2
            and node.input[2] in constants
            and attrs.get("coordinate_transformation_mode", b"half_pixel") in _TILED
        ):
            factors = onnx.numpy_helper.to_array(constants[node.input[2]])
            down, right = (_find_resize_look(float(factor), attrs) for factor in factors[-2:])
            return down, right
    spec = SPECS.get(_OPERATIONS.get(name, ""))
    if name in _LOCAL or (spec and spec.is_per_pixel):
        return Look(), Look()
    if spec and spec.kind == "statistics":
        return None
    raise InputError(
        f"{os.fspath(path)} holds {name}, whose receptive field is not known, so that no tile can "
        "equal the whole; export a network of convolutions and pointwise operators."
    )


def _find_window_looks(
    make: Callable[[int, int, int | None], Look], sides: Sequence[int], attrs: Mapping[str, Any]
) -> Looks:
    """Returns the looks of an operator's windows by its strides and padding."""
    strides = attrs.get("strides", (1, 1))
    befores: Sequence[int | None] = attrs.get("pads", (0, 0))[:2]
    match attrs.get("auto_pad", b"NOTSET"):
        case b"SAME_UPPER":
            befores = (None, None)
        case b"SAME_LOWER":
            befores = [(max(n - s, 0) + 1) // 2 for n, s in zip(sides, strides, strict=True)]
    down, right = map(make, sides, strides, befores)
    return down, right


def _find_resize_look(factor: float, attrs: Mapping[str, Any]) -> Look:
    """Returns the look of a Resize along one axis; "nearest" reads both neighbours, of which it takes one."""
    half_pixel = attrs.get("coordinate_transformation_mode", b"half_pixel") != b"asymmetric"
    step, mode = 1 / Fraction(factor).limit_denominator(64), attrs.get("mode", b"nearest")
    if mode == b"nearest":
        # To round down the place of a half pixel is to round its own place to the nearest, ties down.
        whole = step.numerator == 1 and (
            attrs.get("nearest_mode", b"round_prefer_floor") == b"floor"
            if not half_pixel
            else attrs.get("nearest_mode", b"round_prefer_floor").startswith(b"round_prefer")
        )
        return interpolation(step, half_pixel=half_pixel, nearest=whole)
    return interpolation(step, taps=4 if mode == b"cubic" else 2, half_pixel=half_pixel)


def _macs(
    graph: Any, shapes: Mapping[str, tuple[int, ...]], distances: Sequence[Distances]
) -> float:
    """Returns the multiply-accumulates for each pixel of the image, at output pixels as in `graph.macs`.

    A convolution of a global mean adds nothing to them.
    """
    total = Fraction(0)
    for node in graph.node:
        down, right = (along.get(node.output[0]) for along in distances)
        if node.op_type in ("Conv", "ConvTranspose") and down and right:
            total += math.prod(shapes[node.input[1]]) / (down * right)
    return float(total)
