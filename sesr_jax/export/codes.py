"""The proof of an INT8 file: every one of its codes equals that of the integer reference.

    proof = prove_codes(model, graph, ranges, convert=lambda shape: to_tflite(...))
    proof.shape      # the shape of the noise that both were run on

A converter fuses, folds and reorders operations. Most of that changes no code, and nothing shows where it
does: the file loads, runs, and gives an image. So each file is run on LiteRT's reference kernels beside
`quant.integer`, and a difference of one code is refused.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from sesr_jax import ops
from sesr_jax.errors import InputError, UnsupportedError
from sesr_jax.export.litert import TFLiteModel
from sesr_jax.graph import Graph, with_input_shape
from sesr_jax.quant import Ranges, integer

SIDE = 24
"""The height and width of the noise, in pixels. It is small since the reference kernels are slow, and all
positions but those at the edges are computed alike."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodesProof:
    """What was compared and found equal.

    Attributes:
      shape: the shape of the noise, ``[N, H, W, C]``.
      twin: whether a second file, made for that size, was run instead, since an operator in the file holds a
        size of its own.
    """

    shape: tuple[int, ...]
    twin: bool


def prove_codes(
    model: bytes, graph: Graph, ranges: Ranges, *, convert: Callable[[tuple[int, ...]], bytes]
) -> CodesProof:
    """Compares the INT8 file `model` with the integer reference on noise.

    Args:
      model: the file's content, with pixels of int8 or uint8.
      graph: the Graph that it was made from, with its tail.
      ranges: the range of each group of tensors of `graph`.
      convert: makes such a file for an input of that shape, ``[N, H, W, C]``.

    Raises:
      InputError: a code differs.
    """
    n, height, width, channels = graph.input_shape
    shape = (n, min(height, SIDE), min(width, SIDE), channels)
    codes = np.random.default_rng(0).integers(-128, 128, size=shape).astype(np.int8)
    small = graph if shape == graph.input_shape else with_input_shape(graph, shape)
    # What an operation reads of a tensor's size is a constant in the file, which may accept another size
    # silently.
    twin = small is not graph and any(ops.SPECS[node.op].values for node in graph.nodes)
    if not twin:
        try:
            found = _run(model, codes)
        except UnsupportedError:
            twin = True
    if twin:
        model = convert(shape)
        found = _run(model, codes)

    # Compiling costs more than running, and its optimisations do not change integers.
    reference = jax.jit(
        functools.partial(integer.run, small, ranges),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    expected = np.asarray(reference(codes))
    apart = np.abs(found.astype(int) - expected)
    if apart.any():
        raise InputError(
            f"{_find_culprit(model, codes, small, ranges)!r} is not computed by the file as in the network, "
            f"which puts {np.mean(apart > 0):.1%} of the output's codes off by up to {apart.max()}: this "
            "converter cannot write it; take the other one, or build the network without what stands there."
        )
    return CodesProof(shape=shape, twin=twin)


def _run(model: bytes, codes: np.ndarray) -> np.ndarray:
    """Returns the file's output for int8 codes, as int8 codes."""
    loaded = TFLiteModel(model, kernels="reference")
    return _to_signed(loaded.run(_to_file_codes(loaded, codes)))


def _to_file_codes(model: TFLiteModel, codes: np.ndarray) -> np.ndarray:
    unsigned = model.input is not None and model.input.dtype == np.uint8
    return (codes.astype(int) + 128).astype(np.uint8) if unsigned else codes


def _to_signed(codes: np.ndarray) -> np.ndarray:
    return (codes.astype(int) - 128).astype(np.int8) if codes.dtype == np.uint8 else codes


def _find_culprit(model: bytes, codes: np.ndarray, graph: Graph, ranges: Ranges) -> str:
    """Returns the name of the first tensor whose codes no operator of the file writes."""
    expected: dict[str, jax.Array] = {}
    integer.run(graph, ranges, codes, lambda name, y: expected.setdefault(name, y))
    loaded = TFLiteModel(model, kernels="reference", keep_tensors=True)
    loaded.run(_to_file_codes(loaded, codes))
    written = [_to_signed(tensor).ravel() for tensor in loaded.read_tensors()]

    def is_written(codes: jax.Array) -> bool:
        return any(np.array_equal(tensor, codes.ravel()) for tensor in written)

    names = [name for name in expected if name != graph.input]
    return next((name for name in names if not is_written(expected[name])), graph.output)
