"""The proof of an ONNX file: ONNX Runtime computes each of its layers as the network does.

    proof = prove_onnx(to_onnx(graph, ranges=ranges), graph, ranges=ranges)

Float arithmetic rounds ties otherwise than the integer reference, and what differs by a code is multiplied
by all that follows: two outputs say little about a file. So the file is cut behind every layer. There it
gives what it computed, and what follows reads the reference's values. The difference of a layer is then one
code at most or, of floats, the rounding of one sum. The whole file runs too, and how far its output is off
is told.
"""

import dataclasses
import functools
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from sesr_jax import graph as graphs
from sesr_jax.errors import InputError, find_reason, require_extra
from sesr_jax.export.codes import SIDE
from sesr_jax.export.onnx_reference import QUICK, Layer, compute_layers, find_limits
from sesr_jax.graph import Graph, with_input_shape
from sesr_jax.quant import INT8, Range, Ranges, Scheme, integer
from sesr_jax.quant.ranges import IMAGE
from sesr_jax.sandbox.onnx import Runtime

_CODES = 1
"""By how many codes a layer may round otherwise."""

_SHARE = {np.dtype(np.float32): 1e-4, np.dtype(np.float16): 2**-8}
"""The largest difference of a layer of floats, as a share of its largest value. It is some ten times the
rounding of one value, since a runtime may sum in float16 too."""

_LARGEST_HALF = float(np.finfo(np.float16).max)

_REMEDY = "take another version of onnxruntime, or export to .tflite"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnnxProof:
    """What was compared, and how far apart it was found.

    Attributes:
      shape: the shape of the noise, ``[N, H, W, C]``.
      layer: the largest difference of a layer that reads what the reference reads: in codes, or as a share of
        its largest value where the file has no codes of activations.
      output: the largest difference of the whole output: in codes, or in values where it has none. Of a file
        of float16 it is that from the network in float32, of the file or of the network with every layer
        rounded to float16, since ONNX Runtime computes in float32 on many CPUs.
      codes: whether the output has codes.
    """

    shape: tuple[int, ...]
    layer: float
    output: float
    codes: bool


def prove_onnx(
    model: Any,
    graph: Graph,
    *,
    ranges: Ranges | None = None,
    scheme: Scheme = INT8,
    half: bool = False,
) -> OnnxProof:
    """Compares each layer of the file with that of the network (`onnx_reference`), on noise.

    Args:
      model: the `onnx.ModelProto`.
      graph: the network that it was made from.
      ranges: as for `to_onnx`.
      scheme: as for `to_onnx`.
      half: as for `to_onnx`.

    Raises:
      InputError: a layer, or the output of floats, differs by more than rounding explains, or a layer leaves
        the range of float16; or ONNX Runtime is not installed, or does not run the file.
    """
    n, height, width, channels = graph.input_shape
    shape = (n, min(height, SIDE), min(width, SIDE), channels)
    small = graph if shape == graph.input_shape else with_input_shape(graph, shape)
    image = np.random.default_rng(0).integers(-128, 128, size=shape).astype(np.int8)
    limits = find_limits(small, ranges, scheme)
    reference = compute_layers(small, image, ranges, scheme, half=half)
    source, target = model.graph.input[0], model.graph.output[0]
    pixels = {source.name: _to_pixels(image, _read_dtype(source))}
    end = reference[graph.output]

    layers = _find_layers(model, limits or reference)
    given = {f"{tensor}/given": reference[name].given for tensor, name in layers.items()}
    cut = _cut(model, layers, reference)
    found = _run(cut, given | pixels)
    if graph.output not in layers.values():  # which has no codes, behind layers that have
        layers[target.name] = graph.output
    worst = max(
        _check_layer(name, found[tensor], reference[name]) for tensor, name in layers.items()
    )
    if target.name not in layers:
        _check_end(target.name, _to_codes(found[target.name], limits.get(graph.output)), end.given)

    y = _to_codes(_run(model, pixels)[target.name], limits.get(graph.output))
    if half:
        run = jax.jit(functools.partial(graphs.run, small), compiler_options=QUICK)
        exact = np.asarray(run(integer.dequantise(image, IMAGE)))
        apart = max(_measure(y, exact), _measure(end.given, exact))
    else:
        apart = _measure(y, end.expected)
        bound = _SHARE[np.dtype(np.float32)] * max(1.0, float(np.abs(end.expected).max()))
        if not limits and not apart <= bound:
            raise InputError(
                f"the file's output is up to {apart:.2g} off by ONNX Runtime, where rounding explains "
                f"{bound:.2g}: {_REMEDY}."
            )
    return OnnxProof(shape=shape, layer=worst, output=apart, codes=graph.output in limits)


def _find_layers(model: Any, names: Collection[str]) -> dict[str, str]:
    """Returns the file's tensors behind which it is cut, with the names of the Graph's tensors.

    They are codes of activations where there are any.
    """
    coded = any(op.op_type == "QuantizeLinear" for op in model.graph.node)
    found = {}
    for op in model.graph.node:
        name = op.name.removesuffix("/quantise") if coded else op.name
        if name in names and coded == (op.op_type == "QuantizeLinear"):
            found[op.output[0]] = name
    return found


def _cut(model: Any, layers: Mapping[str, str], reference: Mapping[str, Layer]) -> Any:
    """Returns a file that gives each tensor of `layers`, and reads another in its place, named "…/given"."""
    import onnx

    cut = onnx.ModelProto.FromString(model.SerializeToString())
    read = set()
    for op in cut.graph.node:
        for i, tensor in enumerate(op.input):
            if tensor in layers:
                op.input[i] = f"{tensor}/given"
                read.add(tensor)
    given = {value.name for value in (*cut.graph.input, *cut.graph.output)}
    for tensor, name in layers.items():
        dtype = onnx.helper.np_dtype_to_tensor_dtype(reference[name].given.dtype)
        shape = [None] * 4
        if tensor in read:
            value = onnx.helper.make_tensor_value_info(f"{tensor}/given", dtype, shape)
            cut.graph.input.append(value)
        if tensor not in given:
            cut.graph.output.append(onnx.helper.make_tensor_value_info(tensor, dtype, shape))
    return cut


def _run(model: Any, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns all outputs of the file by name, for those of `values` that it reads; ``[N, H, W, C]`` here.

    Raises:
      InputError: ONNX Runtime is not installed, or does not run the file.
    """
    names = [value.name for value in model.graph.output]
    given = {one.name: values[one.name].transpose(0, 3, 1, 2) for one in model.graph.input}
    with require_extra("export", "proving ONNX files"):
        import onnxruntime  # noqa: F401
    try:
        found = Runtime(path=model.SerializeToString()).compute(names, given)
    except Exception as error:  # of ONNX Runtime, whose classes share no other
        raise InputError(
            f"ONNX Runtime does not run what was written ({find_reason(error)}): {_REMEDY}."
        ) from error
    return {name: y.transpose(0, 2, 3, 1) for name, y in zip(names, found, strict=True)}


def _check_layer(name: str, found: np.ndarray, layer: Layer) -> float:
    """Returns the difference of a layer.

    Raises:
      InputError: rounding does not explain it, or float16 does not hold the layer.
    """
    if layer.given.dtype == np.float16 and not np.isfinite(layer.given).all():
        raise InputError(
            f"{name!r} reaches {np.abs(layer.expected).max():g} on noise, where float16 ends at "
            f"{_LARGEST_HALF:g}: export float32."
        )
    apart = _measure(found, layer.expected)
    kind, bound = "codes", float(_CODES)
    if layer.expected.dtype != np.int8:
        apart /= max(float(np.abs(layer.expected).max()), float(np.finfo(np.float32).tiny))
        kind, bound = "of its largest value", _SHARE[layer.given.dtype]
    if not apart <= bound:
        raise InputError(
            f"{name!r} is not computed by the file as in the network: by ONNX Runtime it is up to "
            f"{apart:.3g} {kind} off, where rounding explains {bound:.3g}; {_REMEDY}."
        )
    return apart


def _check_end(name: str, found: np.ndarray, given: np.ndarray) -> None:
    """Checks that what stands behind the last layer changes the type of its values alone.

    Raises:
      InputError: it changes the values.
    """
    if not np.array_equal(found, given):
        raise InputError(
            f"{name!r} is not what the last layer computes, of which the file should change the type alone: "
            f"{_REMEDY}."
        )


def _measure(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.astype(np.float64) - expected).max())


def _read_dtype(value: Any) -> np.dtype[Any]:
    import onnx

    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


def _to_pixels(image: np.ndarray, dtype: npt.DTypeLike) -> np.ndarray:
    """Returns an image of int8 codes in the type of a file's pixels."""
    if dtype == np.uint8:
        return (image.astype(int) + 128).astype(np.uint8)
    return image if dtype == np.int8 else np.asarray(integer.dequantise(image, IMAGE))


def _to_codes(pixels: np.ndarray, limits: Range | None) -> np.ndarray:
    """Returns the int8 codes of a file's pixels, where these have `limits`."""
    if pixels.dtype == np.uint8:
        return (pixels.astype(int) - 128).astype(np.int8)
    if limits is None or pixels.dtype == np.int8:
        return pixels
    return np.asarray(integer.quantise(pixels, limits))
