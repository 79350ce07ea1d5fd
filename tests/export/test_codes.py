"""The proof that an INT8 file computes the codes of the integer reference."""

import pathlib
from typing import Any

import numpy as np
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.export import Options, export_tflite, read_metadata, to_tflite
from sesr_jax.export.codes import SIDE, prove_codes
from sesr_jax.export.flatbuffer import pack, read
from sesr_jax.graph import Graph, trace
from sesr_jax.quant import Range, find_points

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 4, 4)).astype(np.float32) / 6
BIAS = np.array([0.1, 0.3, -0.2, 0.5], np.float32)
DEAD = np.where(np.arange(4) == 1, 0, KERNEL).astype(np.float32)


def network(x: Any) -> Any:
    y = ops.prelu(ops.conv2d(x, KERNEL, BIAS), BIAS)
    return ops.depth_to_space(ops.add(ops.conv2d(y, KERNEL[::-1]), y), block=2)


def with_ranges(function: Any, side: int = 6) -> tuple[Graph, dict[str, Range]]:
    graph = trace(nn.Sequential([function]), {}, (1, side, side, 4))
    found = find_points(graph)
    keys = dict.fromkeys(found.group.values())
    ranges = {key: (-0.9 - i / 10, 1.1 + i / 20) for i, key in enumerate(keys)}
    return graph, {**ranges, **found.fixed}


@pytest.mark.parametrize("side", [6, 40])
@pytest.mark.parametrize("tail", ["depth_to_space", "transpose", "transposed_conv", "none"])
def test_a_file_is_proved_whatever_its_tail_and_size(
    tail: Any, side: int, tmp_path: pathlib.Path
) -> None:
    graph, ranges = with_ranges(network, side)
    export_tflite(
        graph, tmp_path / "x.tflite", ranges=ranges, options=Options(tail=tail, io="uint8")
    )
    proof = read_metadata(tmp_path / "x.tflite")["codes"]
    assert proof["shape"] == [1, min(side, SIDE), min(side, SIDE), 4]
    assert proof["twin"] == (side > SIDE and tail in ("transpose", "transposed_conv"))


@pytest.mark.parametrize("converter", ["jax2tf", "litert"])
def test_unsigned_pixels_that_are_read_at_two_scales_are_proved(
    converter: Any, tmp_path: pathlib.Path
) -> None:
    """TensorFlow's own way to unsigned pixels gives the convolution the scale of the concatenation."""

    def function(x: Any) -> Any:
        return ops.conv2d(
            ops.concat(ops.relu(ops.conv2d(x, KERNEL)), x), np.tile(KERNEL, (1, 1, 2, 1))
        )

    graph, ranges = with_ranges(function)
    options = Options(converter=converter, io="uint8")
    export_tflite(graph, tmp_path / "x.tflite", ranges=ranges, options=options)
    assert read_metadata(tmp_path / "x.tflite")["codes"]["twin"] is False


SPOILT = {
    "a ReLU moved before the ends of a range": (
        "jax2tf",
        "conv2d",
        lambda x: ops.relu(ops.clip(ops.conv2d(x, KERNEL), low=-0.5, high=0.7)),
    ),
    "an operation that changes nothing": (
        "jax2tf",
        "mul",
        lambda x: ops.mul(ops.mul(ops.conv2d(x, KERNEL), 1.0), 0.7),
    ),
    "a dead channel with a bias": (
        "litert",
        "conv2d",
        lambda x: ops.mul(ops.conv2d(x, DEAD, BIAS), 0.7),
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_a_converter_spoils_is_refused_and_nothing_written(
    case: str, tmp_path: pathlib.Path
) -> None:
    converter, tensor, function = SPOILT[case]
    graph, ranges = with_ranges(function)
    with pytest.raises(InputError, match=f"'{tensor}' is not computed by the file"):
        export_tflite(
            graph,
            tmp_path / "x.tflite",
            ranges=ranges,
            options=Options(converter=converter),  # type: ignore[arg-type]
        )
    assert not list(tmp_path.iterdir())


def test_what_a_converter_cannot_write_is_said_in_one_sentence() -> None:
    def pooled(x: Any) -> Any:
        y = ops.max_pool(ops.conv2d(x, KERNEL), window=(2, 2), strides=(1, 1), padding="SAME")
        return ops.mul(ops.relu(y), 0.7)

    graph, ranges = with_ranges(pooled)
    with pytest.raises(
        InputError, match=r"cannot write this network \('tfl.max_pool_2d'.*\); take"
    ):
        to_tflite(graph, ranges=ranges)


def test_one_wrong_weight_is_found() -> None:
    graph, ranges = with_ranges(network)
    model = read(to_tflite(graph, ranges=ranges))
    (subgraph,) = model.subgraphs
    weights = next(t for t in subgraph.tensors if tuple(t.shape) == (4, 3, 3, 4))
    data = model.buffers[weights.buffer].data.copy()
    data[7] ^= 0x40
    model.buffers[weights.buffer].data = data
    with pytest.raises(InputError, match=r"% of the output's codes off by up to \d+"):
        prove_codes(pack(model), graph, ranges, convert=lambda shape: b"")
