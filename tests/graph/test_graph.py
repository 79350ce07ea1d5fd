"""Walks over a Graph: who reads a tensor, and a Graph with nodes changed or taken out."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.graph import find_readers, run, trace

X = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 6, 2)), jnp.float32)


def _network(x):
    """Every tensor is read by two nodes, by one, twice by one, or by none but the outside."""
    y = ops.relu(x)
    z = ops.add(ops.tanh(y), y)
    return ops.clip(ops.mul(z, z), low=0.0, high=0.5)


GRAPH = trace(nn.Sequential([_network]), {}, X.shape)


def test_readers_come_in_order_and_each_once():
    assert [node.name for node in GRAPH.find_readers("relu")] == ["tanh", "add"]
    assert [node.name for node in GRAPH.find_readers("add")] == ["mul"]
    assert GRAPH.find_readers(GRAPH.output) == ()
    assert find_readers([("a", "b"), ("a", "a")]) == {"a": [0, 1], "b": [0]}


def test_a_sole_reader_is_alone_with_a_tensor_that_is_not_the_output():
    assert GRAPH.find_sole_reader("input") is GRAPH["relu"]
    assert GRAPH.find_sole_reader("add") is GRAPH["mul"]
    assert GRAPH.find_sole_reader("relu") is None
    assert dataclasses.replace(GRAPH, output="mul").find_sole_reader("mul") is None


def test_a_node_that_is_taken_out_hands_its_first_input_on():
    without = GRAPH.without_nodes({"relu", "tanh", "clip"})
    assert [node.name for node in without.nodes] == ["add", "mul"]
    assert without.output == "mul"
    np.testing.assert_array_equal(run(without, X), (2 * X) ** 2)
    np.testing.assert_array_equal(run(GRAPH.without_nodes(()), X), run(GRAPH, X))


def test_nodes_are_changed_in_their_places():
    changed = GRAPH.map_nodes(
        lambda node: dataclasses.replace(node, op="sigmoid") if node.op == "tanh" else node
    )
    y = ops.relu(X)
    expected = ops.clip((ops.sigmoid(y) + y) ** 2, low=0.0, high=0.5)
    np.testing.assert_allclose(run(changed, X), expected, rtol=1e-6)
    assert run(GRAPH, X).shape == changed[changed.output].shape
