"""Convolutions of concats become sums that compute the same, where each tensor has a range of its own."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.export import TFLiteModel, check_integer, export_tflite
from sesr_jax.export.flatbuffer import list_operators, read
from sesr_jax.graph import macs, run, trace, with_split_concats
from sesr_jax.quant import calibrate, fake

_RNG = np.random.default_rng(0)
_A, _B, _C, _FUSE, _GROUPED, _LAST = (
    jnp.asarray(_RNG.normal(size=shape) / np.prod(shape[:3]) ** 0.5, jnp.float32)
    for shape in (
        *((3, 3, 2, 3), (3, 3, 2, 4), (1, 1, 2, 2), (3, 3, 9, 4)),
        *((3, 3, 2, 4), (1, 1, 6, 2)),
    )
)
X = _RNG.uniform(size=(1, 24, 24, 2)).astype(np.float32)


def _conv(x, kernel, groups=1):
    bias = jnp.linspace(0.0, 0.1, kernel.shape[-1])
    return ops.conv2d(x, kernel, bias, strides=(1, 1), padding="SAME", groups=groups)


def _network(x):
    """A concat of three that a convolution reads alone, one that others read too, and one of groups."""
    parts = _conv(x, _A), _conv(x, 300 * _B), _conv(x, _C)
    shared = ops.concat(ops.relu(_conv(ops.concat(*parts), _FUSE)), x)
    grouped = _conv(ops.concat(parts[2], x), _GROUPED, groups=2)
    return ops.concat(_conv(shared, _LAST), ops.concat(shared, grouped))


GRAPH = trace(nn.Sequential([_network]), {}, X.shape)
SPLIT = with_split_concats(GRAPH)


def test_the_sum_of_the_parts_is_the_convolution():
    np.testing.assert_allclose(run(SPLIT, X), run(GRAPH, X), atol=1e-3)  # of values up to 300
    assert sum(map(macs, SPLIT.nodes)) == sum(map(macs, GRAPH.nodes))
    assert SPLIT.shapes == {**SPLIT.shapes, **{n.name: n.shape for n in SPLIT.nodes}}


def test_only_what_one_plain_convolution_reads_is_split():
    kinds = [[n.op for n in graph.nodes].count("concat") for graph in (GRAPH, SPLIT)]
    assert kinds == [5, 4]
    assert {n.name for n in GRAPH.nodes} - {n.name for n in SPLIT.nodes} == {"concat"}


def test_small_tensors_keep_fine_codes_and_the_file_is_proved(tmp_path):
    """The large tensor's kernel undoes its size, so that all tensors matter alike."""
    kernel = jnp.concatenate([_FUSE[:, :, :3], _FUSE[:, :, 3:7] / 300, _FUSE[:, :, 7:]], 2)

    def network(x):
        parts = _conv(x, _A), _conv(x, 300 * _B), _conv(x, _C)
        return _conv(ops.concat(*parts), kernel)

    graph = trace(nn.Sequential([network]), {}, X.shape)
    split = with_split_concats(graph)
    expected = np.clip(run(graph, X), 0, 1)
    errors = [
        np.square(fake.run(g, calibrate(g, [X]), X) - expected).mean() for g in (graph, split)
    ]
    assert errors[1] < errors[0] / 30
    export_tflite(split, tmp_path / "split.tflite", ranges=calibrate(split, [X]))
    model = (tmp_path / "split.tflite").read_bytes()
    check_integer(model)
    assert "CONCATENATION" not in [op.name for op in list_operators(read(model))]
    assert np.square(TFLiteModel(model)(X) - expected).mean() < 2 * errors[1]
