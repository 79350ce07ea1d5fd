"""Tails: every form gives the same image, to the last bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph import TAILS, list_host_blocks, measure_extent, run, trace, with_clip, with_tail
from sesr_jax.models import create


@functools.cache
def _graph(name="sesr_m3_hw", scale=2, channels=1):
    module = create(name, scale=scale, expansion=4, channels=channels)
    x = jnp.zeros((2, 7, 5, channels))
    return trace(module, module.init(jax.random.key(0), x), x.shape)


def _lone(function, channels=4):
    return trace(nn.Sequential([function]), {}, (1, 3, 4, channels))


def _image(graph):
    # Twice as bright as an image, so that a clip has work to do.
    return 2 * jax.random.uniform(jax.random.key(1), graph.input_shape) - 0.5


@pytest.mark.parametrize("tail", TAILS[1:])
@pytest.mark.parametrize(("scale", "channels"), [(2, 1), (3, 1), (4, 1), (2, 3)])
def test_every_form_computes_the_same_image(tail, scale, channels):
    graph = _graph(scale=scale, channels=channels)
    written = with_tail(graph, tail)
    x = _image(graph)
    y = run(written, x)
    if tail == "none":
        assert y.shape == written.shapes[written.output] == (2, 7, 5, channels * scale**2)
        for block in list_host_blocks(graph):
            y = ops.depth_to_space(y, block=block)
    np.testing.assert_array_equal(y, run(graph, x))
    assert {node.name for node in written.nodes} <= {node.name for node in graph.nodes}


def test_forms_are_what_they_are_called():
    graph = _graph(scale=4)
    assert [n.attrs["form"] for n in with_tail(graph, "transpose").nodes[-2:]] == ["transpose"] * 2
    convolved = with_tail(graph, "transposed_conv").nodes[-2:]
    assert [node.op for node in convolved] == ["conv2d_transpose"] * 2
    for node in convolved:
        kernel = node.parameters[0]
        assert set(np.unique(kernel)) == {0, 1}
        assert kernel.sum() == kernel.shape[2]
    assert list_host_blocks(graph) == (2, 2)
    assert measure_extent(with_tail(graph, "none")) == measure_extent(graph)


def test_a_shuffle_that_others_read_too_is_no_tail():
    def network(x):
        y = ops.depth_to_space(x, block=2)
        return ops.add(y, ops.relu(y))

    graph = _lone(network)
    assert list_host_blocks(graph) == ()
    with pytest.raises(InputError, match="'none'"):
        with_tail(graph, "none")
    assert with_tail(graph, "transpose").nodes[0].attrs["form"] == "transpose"


@pytest.mark.parametrize("scale", [2, 4])
def test_a_clip_limits_the_image_before_its_pixels_move(scale):
    graph = _graph(scale=scale)
    clipped = with_clip(graph)
    x = _image(graph)
    y = run(graph, x)
    assert (y < 0).any()
    np.testing.assert_array_equal(run(clipped, x), jnp.clip(y, 0, 1))
    ops_in_order = [node.op for node in clipped.nodes]
    assert ops_in_order.index("clip") < ops_in_order.index("depth_to_space")
    assert clipped.shapes["clip"] == graph.shapes["tail/conv2d"]


def test_a_clip_after_what_shuffles_nothing_and_beside_another():
    graph = _lone(lambda x: ops.mul(ops.clip(x, low=0.0, high=0.5), 3.0))
    clipped = with_clip(graph)
    assert clipped.output == "clip_1"
    x = _image(graph)
    np.testing.assert_array_equal(run(clipped, x), jnp.clip(run(graph, x), 0, 1))


def test_what_cannot_be_rewritten_is_refused():
    with pytest.raises(InputError, match="'pixel_shuffle'"):
        with_tail(_graph(), "pixel_shuffle")
    with pytest.raises(InputError, match=r"'transpose' .*'relu'"):
        with_tail(_lone(ops.relu), "transpose")
